//! One fetch for everybody, whoever comes and goes when.

use shuttle::sync::Arc;
use shuttle::sync::Mutex;
use shuttle::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use shuttle::thread;

use crate::seats::{Flight, Full, Pilot, Seat, Seats, Taken};

/// Schedules that are tried for each promise.
const SCHEDULES: usize = 20_000;
/// Changes of priority by which one schedule differs from the next, in the second kind of search.
const DEPTH: usize = 3;

/// A flight that remembers what became of it.
#[derive(Default)]
struct Noted {
    gave_up: AtomicBool,
    emptied: AtomicUsize,
    asked: Mutex<Vec<u8>>,
}

impl Flight for Noted {
    fn emptied(&self) {
        self.emptied.fetch_add(1, Ordering::SeqCst);
    }
}

type Table = Seats<u8, u8, Noted>;
type Place = Seat<u8, u8, Noted>;

/// Tries `scenario` by chance and by priorities.
fn tried(scenario: fn()) {
    shuttle::check_random(scenario, SCHEDULES);
    shuttle::check_pct(scenario, SCHEDULES, DEPTH);
}

fn all(threads: Vec<thread::JoinHandle<()>>) {
    for thread in threads {
        thread.join().expect("no panic");
    }
}

/// Asks every place once, as the fetch of a blob that nobody has does.
fn ask_all(pilot: &Pilot<u8, u8, Noted>) {
    let mut asked = 0;
    while let Some(source) = pilot.next_source(asked) {
        pilot.flight().asked.lock().unwrap().push(source);
        asked += 1;
    }
}

#[test]
fn what_is_stored_is_fetched_once_however_many_come_whenever() {
    tried(|| {
        let seats = Arc::new(Table::new(4));
        let (stored, fetches) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let clients = (0..3).map(|client| {
            let (seats, stored, fetches) = (seats.clone(), stored.clone(), fetches.clone());
            thread::spawn(move || {
                if stored.load(Ordering::SeqCst) {
                    return;
                }
                if let Ok(Taken::Begun(_seat, pilot)) = seats.take(&1, client, Noted::default) {
                    // What the flight before this one stored is found before anybody is asked.
                    if !stored.load(Ordering::SeqCst) {
                        fetches.fetch_add(1, Ordering::SeqCst);
                        thread::yield_now();
                        stored.store(true, Ordering::SeqCst);
                    }
                    pilot.end();
                }
            })
        });
        all(clients.collect());
        assert_eq!(fetches.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn nobody_sits_in_a_flight_that_gave_up() {
    tried(|| {
        let seats = Arc::new(Table::new(4));
        let clients = (0..3).map(|client| {
            let seats = seats.clone();
            thread::spawn(move || match seats.take(&1, client, Noted::default) {
                Ok(Taken::Begun(seat, pilot)) => {
                    drop(seat);
                    if pilot.end_if_empty() {
                        pilot.flight().gave_up.store(true, Ordering::SeqCst);
                    }
                }
                Ok(Taken::Joined(seat)) => {
                    for _ in 0..3 {
                        assert!(!seat.flight().gave_up.load(Ordering::SeqCst));
                        thread::yield_now();
                    }
                }
                Err(Full) => panic!("there is room"),
            })
        });
        all(clients.collect());
    });
}

#[test]
fn whoever_finds_a_flight_failed_ends_that_one_alone_and_gets_another() {
    tried(|| {
        let seats = Arc::new(Table::new(4));
        let clients = (0..3).map(|client| {
            let seats = seats.clone();
            thread::spawn(move || {
                let mut failed = Vec::new();
                loop {
                    match seats.take(&1, client, Noted::default) {
                        Ok(Taken::Begun(_seat, pilot)) => {
                            // Its passengers learn of the failure before its pilot ends it.
                            pilot.flight().gave_up.store(true, Ordering::SeqCst);
                            thread::yield_now();
                            return pilot.end();
                        }
                        Ok(Taken::Joined(seat)) => {
                            if !seat.flight().gave_up.load(Ordering::SeqCst) {
                                return;
                            }
                            let is_this = |it: &Place| std::ptr::eq(it.flight(), seat.flight());
                            assert!(!failed.iter().any(is_this), "boarded after it was ended");
                            seat.end();
                            failed.push(seat);
                        }
                        Err(Full) => panic!("there is room"),
                    }
                }
            })
        });
        all(clients.collect());
    });
}

#[test]
fn whoever_got_a_seat_has_its_place_asked() {
    tried(|| {
        let seats = Arc::new(Table::new(4));
        let sat = Arc::new(Mutex::new(Vec::new()));
        let clients = (0..3).map(|client| {
            let (seats, sat) = (seats.clone(), sat.clone());
            thread::spawn(move || {
                let seat = match seats.take(&1, client, Noted::default) {
                    Ok(Taken::Begun(seat, pilot)) => {
                        ask_all(&pilot);
                        seat
                    }
                    Ok(Taken::Joined(seat)) => seat,
                    Err(Full) => panic!("there is room"),
                };
                sat.lock().unwrap().push((client, seat));
            })
        });
        all(clients.collect());
        for (client, seat) in sat.lock().unwrap().iter() {
            assert!(seat.flight().asked.lock().unwrap().contains(client));
        }
    });
}

#[test]
fn a_flight_that_ended_ends_no_later_one() {
    tried(|| {
        let seats = Arc::new(Table::new(4));
        let flying = Arc::new(AtomicUsize::new(0));
        let clients = (0..3).map(|client| {
            let (seats, flying) = (seats.clone(), flying.clone());
            thread::spawn(move || {
                if let Ok(Taken::Begun(_seat, pilot)) = seats.take(&1, client, Noted::default) {
                    assert_eq!(flying.fetch_add(1, Ordering::SeqCst), 0, "one at a time");
                    thread::yield_now();
                    flying.fetch_sub(1, Ordering::SeqCst);
                    pilot.end();
                    // A later flight may be under way by now, which this must not end.
                    thread::yield_now();
                    drop(pilot);
                }
            })
        });
        all(clients.collect());
    });
}

#[test]
fn a_flight_hears_that_the_last_one_left() {
    tried(|| {
        let seats = Arc::new(Table::new(4));
        let Ok(Taken::Begun(first, pilot)) = seats.take(&1, 0, Noted::default) else {
            panic!("nobody flies yet");
        };
        let joined = seats.clone();
        let other = thread::spawn(move || drop(joined.take(&1, 1, Noted::default)));
        drop(first);
        other.join().expect("no panic");
        assert!(pilot.flight().emptied.load(Ordering::SeqCst) >= 1);
        assert!(pilot.end_if_empty());
    });
}

#[test]
fn no_more_fly_than_the_limit() {
    tried(|| {
        let seats = Arc::new(Table::new(2));
        let flying = Arc::new(AtomicUsize::new(0));
        let clients = (0..4).map(|client| {
            let (seats, flying) = (seats.clone(), flying.clone());
            thread::spawn(move || {
                if let Ok(Taken::Begun(_seat, pilot)) = seats.take(&client, client, Noted::default)
                {
                    assert!(flying.fetch_add(1, Ordering::SeqCst) < 2);
                    thread::yield_now();
                    flying.fetch_sub(1, Ordering::SeqCst);
                    pilot.end();
                }
            })
        });
        all(clients.collect());
    });
}
