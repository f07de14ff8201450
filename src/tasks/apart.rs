//! Threads for work that fills much memory.
//!
//! Allocators keep what a thread gave back for that thread. In a pool that hands work to any of its
//! threads, each comes to keep as much as the largest work takes. Here the thread that had work last has
//! the next, so that there are as many as ever worked at once.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;

type Work = Box<dyn FnOnce() + Send>;

/// Threads that have nothing to do, the one that worked last at the end. They end with this.
#[derive(Debug, Clone, Default)]
pub(super) struct Apart(Arc<Mutex<Vec<mpsc::SyncSender<Work>>>>);

impl Apart {
    /// Has `work` done, and waits for it. A thread that is started for it has the priority of this one.
    ///
    /// # Errors
    /// What it panicked with, or why there is no thread for it.
    pub(super) fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> thread::Result<T> {
        let idle = self.idle().pop();
        let worker = idle.map_or_else(started, Ok)?;
        let (tell, told) = mpsc::sync_channel(1);
        let work = move || drop(tell.send(catch_unwind(AssertUnwindSafe(work))));
        worker.send(Box::new(work)).map_err(|_ended| because("a thread ended"))?;
        let done = told.recv().map_err(|_ended| because("a thread ended"))?;
        self.idle().push(worker);
        done
    }

    fn idle(&self) -> MutexGuard<'_, Vec<mpsc::SyncSender<Work>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn started() -> thread::Result<mpsc::SyncSender<Work>> {
    let (sender, receiver) = mpsc::sync_channel::<Work>(1);
    let thread = thread::Builder::new().name("apart".to_owned());
    let started = thread.spawn(move || receiver.into_iter().for_each(|work| work()));
    started.map(|_detached| sender).map_err(|error| because(&error.to_string()))
}

fn because(why: &str) -> Box<dyn std::any::Any + Send> {
    Box::new(why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thread_that_worked_last_has_the_next_work() {
        let (apart, id) = (Apart::default(), || thread::current().id());
        let first = apart.run(id).unwrap();
        let both = {
            let apart = apart.clone();
            move || (id(), apart.run(id).unwrap())
        };
        let (outer, inner) = apart.run(both).unwrap();
        assert_eq!(outer, first);
        assert_ne!(inner, first, "it was at work");
        assert_eq!((apart.run(id).unwrap(), apart.idle().len()), (first, 2));
    }

    #[test]
    fn work_that_fails_is_told_and_its_thread_goes_on() {
        let (apart, id) = (Apart::default(), || thread::current().id());
        let first = apart.run(id).unwrap();
        assert!(apart.run(|| std::panic::resume_unwind(because("failed"))).is_err());
        assert_eq!(apart.run(id).unwrap(), first);
    }
}
