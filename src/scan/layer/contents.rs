//! One file's contents, as a cataloger gets them: no more than the file, and with the layer's own trouble
//! kept apart from the file's.

use std::io::{self, Read};

use super::Stop;
use super::archive::Archive;

/// The contents of an entry, for a cataloger.
pub(super) struct Contents<'a, R: Read> {
    archive: &'a mut Archive<R>,
    /// Why the layer itself could not be read on.
    stop: Option<Stop>,
}

impl<'a, R: Read> Contents<'a, R> {
    pub(super) fn of(archive: &'a mut Archive<R>) -> Self {
        Self { archive, stop: None }
    }

    /// Why the layer itself could not be read on, if it could not.
    pub(super) fn into_stop(self) -> Option<Stop> {
        self.stop
    }
}

impl<R: Read> Read for Contents<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let failed = || io::Error::other("the layer cannot be read on");
        if self.stop.is_some() {
            return Err(failed());
        }
        self.archive.read(buffer).map_err(|stop| {
            self.stop = Some(stop);
            failed()
        })
    }
}
