//! Guesses at names: how often somebody may be wrong about one, from where.
//!
//! Two counts. One is of a name and a place together: whoever is wrong a few times in a row waits. The
//! other is of a name and all places that are new to it: so many of them at once do not help a guesser.
//! A place is a network, or a browser that the name has signed in with, which has a cookie to show for it:
//! that one is not held up by what others do, from the same network neither, so that nobody keeps
//! somebody out. Nothing is counted for ever.
//!
//! Names are kept as hashes, whether there are such people or not, in bounded memory.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::throttle::network;
use crate::oci::{Digest, Secret};
use crate::people::{NoRandomness, random};

/// Wrong guesses at one name from one place within [`NEAR_WINDOW`].
const NEAR_MAX: u32 = 5;
/// How long those count.
const NEAR_WINDOW: Duration = Duration::from_mins(10);
/// Wrong guesses at one name from all places that are new to it, within [`FAR_WINDOW`].
const FAR_MAX: u32 = 20;
/// How long those count.
const FAR_WINDOW: Duration = Duration::from_hours(1);
/// Pairs of a name and a place that are remembered; beyond it, the oldest is forgotten.
const PAIRS_MAX: usize = 8_192;
/// Names are counted in so many places, by their hash; what falls together is counted together.
const PLACES: usize = 4_096;
/// Browsers that a name is known to sign in with; one more, and the oldest is forgotten.
const KNOWN_PER_NAME_MAX: usize = 8;
/// Random bytes in what a browser has to show.
const DEVICE_BYTES: usize = 32;
/// Longest that is looked at, in bytes: ours are 43.
const DEVICE_LENGTH_MAX: usize = 64;
/// Names of which those are remembered: as many as there may be people.
const KNOWN_MAX: usize = 5_000;

/// What a guess is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Factor {
    /// The code of an authenticator, by somebody who knew the password.
    Code,
    /// A password, or a one-time secret.
    Password,
}

impl Factor {
    /// As the audit has it.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Password => "password",
        }
    }
}

/// Where somebody guesses from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Place {
    /// A browser that the name has signed in with, by the hash of what it has to show.
    Browser(Digest),
    /// Any other, by its network.
    Network(IpAddr),
}

/// Where a request comes from: its address, and what its browser has to show for itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin<'a> {
    /// The address.
    pub(super) address: IpAddr,
    /// The id in its cookie.
    pub(super) device: Option<&'a str>,
}

/// The counts.
#[derive(Debug)]
pub(super) struct Guesses {
    counts: Mutex<Counts>,
}

#[derive(Debug)]
struct Counts {
    near: HashMap<(Digest, Place), Count>,
    far: Vec<Count>,
    known: HashMap<Digest, VecDeque<Digest>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    since: Duration,
    number: u32,
}

impl Count {
    /// How long to wait at `now` when `most` are allowed in `window`.
    fn wait(self, most: u32, window: Duration, now: Duration) -> Option<Duration> {
        let passed = now.saturating_sub(self.since);
        (self.number >= most && passed < window).then(|| window.saturating_sub(passed))
    }

    fn add(&mut self, window: Duration, now: Duration) {
        if now.saturating_sub(self.since) >= window {
            *self = Self { since: now, number: 0 };
        }
        self.number = self.number.saturating_add(1);
    }
}

impl Default for Guesses {
    fn default() -> Self {
        let far = vec![Count::default(); PLACES];
        let counts = Counts { near: HashMap::new(), far, known: HashMap::new() };
        Self { counts: Mutex::new(counts) }
    }
}

impl Guesses {
    /// How long a guess at the `factor` of `name` from `origin` has to wait at `now`, if it has to.
    pub(super) fn wait(
        &self,
        factor: Factor,
        name: &str,
        origin: Origin<'_>,
        now: Duration,
    ) -> Option<Duration> {
        let key = key(factor, name);
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let place = counts.place(name, origin);
        let near = counts.near.get(&(key, place)).copied().unwrap_or_default();
        if let Some(wait) = near.wait(NEAR_MAX, NEAR_WINDOW, now) {
            return Some(wait);
        }
        if matches!(place, Place::Browser(_)) {
            return None;
        }
        let far = counts.far.get(slot(&key)).copied().unwrap_or_default();
        far.wait(FAR_MAX, FAR_WINDOW, now)
    }

    /// Whether `name` has signed in with the browser of `origin`.
    pub(super) fn knows(&self, name: &str, origin: Origin<'_>) -> bool {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(counts.place(name, origin), Place::Browser(_))
    }

    /// Counts a wrong guess.
    pub(super) fn wrong(&self, factor: Factor, name: &str, origin: Origin<'_>, now: Duration) {
        let key = key(factor, name);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let place = counts.place(name, origin);
        if matches!(place, Place::Network(_))
            && let Some(far) = counts.far.get_mut(slot(&key))
        {
            far.add(FAR_WINDOW, now);
        }
        if counts.near.len() >= PAIRS_MAX && !counts.near.contains_key(&(key, place)) {
            counts.make_room(now);
        }
        counts.near.entry((key, place)).or_default().add(NEAR_WINDOW, now);
    }

    /// Notes that `name` signed in from `origin`; gives what its browser is to show from now on, where that
    /// is something else than it showed.
    ///
    /// # Errors
    /// When there are no random bytes.
    pub(super) fn right(
        &self,
        name: &str,
        origin: Origin<'_>,
    ) -> Result<Option<Secret>, NoRandomness> {
        let new = Secret::new(URL_SAFE_NO_PAD.encode(random::<DEVICE_BYTES>()?));
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let place = counts.place(name, origin);
        for factor in [Factor::Code, Factor::Password] {
            counts.near.remove(&(key(factor, name), place));
        }
        // What a browser has of somebody else who uses it, too, stays; what nobody gave it does not count.
        let shown = origin.device.map(hash).filter(|it| counts.is_given(it));
        let device = shown.unwrap_or_else(|| hash(new.expose()));
        let name = hash(name);
        if counts.known.len() >= KNOWN_MAX && !counts.known.contains_key(&name) {
            return Ok(None);
        }
        let known = counts.known.entry(name).or_default();
        known.retain(|one| *one != device);
        known.push_back(device);
        if known.len() > KNOWN_PER_NAME_MAX {
            known.pop_front();
        }
        Ok(shown.is_none().then_some(new))
    }
}

impl Counts {
    fn place(&self, name: &str, origin: Origin<'_>) -> Place {
        let device = origin.device.filter(|it| it.len() <= DEVICE_LENGTH_MAX).map(hash);
        let known = self.known.get(&hash(name));
        match device.filter(|device| known.is_some_and(|known| known.contains(device))) {
            Some(device) => Place::Browser(device),
            None => Place::Network(network(origin.address)),
        }
    }

    fn is_given(&self, device: &Digest) -> bool {
        self.known.values().any(|known| known.contains(device))
    }

    fn make_room(&mut self, now: Duration) {
        self.near.retain(|_, count| now.saturating_sub(count.since) < NEAR_WINDOW);
        while self.near.len() >= PAIRS_MAX {
            let oldest = self.near.iter().min_by_key(|(_, count)| count.since);
            let Some(oldest) = oldest.map(|(pair, _)| *pair) else { return };
            self.near.remove(&oldest);
        }
    }
}

fn hash(text: &str) -> Digest {
    Digest::sha256(text.as_bytes())
}

fn key(factor: Factor, name: &str) -> Digest {
    Digest::sha256(format!("{}\0{name}", factor.as_str()).as_bytes())
}

fn slot(key: &Digest) -> usize {
    let two = key.as_bytes().iter().take(2);
    two.fold(0, |place, byte| place * 256 + usize::from(*byte)) % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(10_000);
    const PASSWORD: Factor = Factor::Password;

    fn from(number: u32) -> Origin<'static> {
        let address = IpAddr::V4((0x0a00_0000 + number).into());
        Origin { address, device: None }
    }

    #[test]
    fn whoever_is_wrong_a_few_times_waits_and_others_do_not() {
        let guesses = Guesses::default();
        for _ in 0..NEAR_MAX {
            assert_eq!(guesses.wait(PASSWORD, "alice", from(1), START), None);
            guesses.wrong(PASSWORD, "alice", from(1), START);
        }
        assert_eq!(guesses.wait(PASSWORD, "alice", from(1), START), Some(NEAR_WINDOW));
        assert_eq!(guesses.wait(PASSWORD, "bob", from(1), START), None);
        assert_eq!(guesses.wait(PASSWORD, "alice", from(2), START), None);
        assert_eq!(guesses.wait(Factor::Code, "alice", from(1), START), None);
        assert_eq!(guesses.wait(PASSWORD, "alice", from(1), START + NEAR_WINDOW), None);
    }

    #[test]
    fn many_places_at_once_help_no_guesser_and_keep_nobody_out_of_where_they_are_known() {
        let guesses = Guesses::default();
        let device = guesses.right("alice", from(7)).unwrap().unwrap();
        let own = Origin { device: Some(device.expose()), ..from(7) };
        let mut tried = 0;
        for number in 0..1_000 {
            if guesses.wait(PASSWORD, "alice", from(number), START).is_none() {
                guesses.wrong(PASSWORD, "alice", from(number), START);
                tried += 1;
            }
        }
        assert_eq!(tried, FAR_MAX);
        assert_eq!(guesses.wait(PASSWORD, "alice", own, START), None, "also from that network");
        assert!(guesses.knows("alice", own) && !guesses.knows("bob", own));
        assert!(guesses.wait(PASSWORD, "alice", from(9_001), START).is_some());
        assert_eq!(guesses.wait(PASSWORD, "alice", from(9_001), START + FAR_WINDOW), None);
        for made_up in ["", "x", &"x".repeat(43), &"x".repeat(10_000)] {
            let origin = Origin { device: Some(made_up), ..from(9_002) };
            assert!(guesses.wait(PASSWORD, "alice", origin, START).is_some(), "{made_up}");
        }
        // And whoever guesses from there waits as anybody.
        for _ in 0..NEAR_MAX {
            guesses.wrong(PASSWORD, "alice", own, START);
        }
        assert!(guesses.wait(PASSWORD, "alice", own, START).is_some());
    }

    #[test]
    fn a_browser_that_two_use_is_known_to_both_and_shows_nothing_that_nobody_gave_it() {
        let guesses = Guesses::default();
        let planted = Origin { device: Some("planted"), ..from(1) };
        let device = guesses.right("alice", planted).unwrap().unwrap();
        assert_ne!(device.expose(), "planted");
        let own = Origin { device: Some(device.expose()), ..from(1) };
        assert!(guesses.right("bob", own).unwrap().is_none());
        assert!(guesses.knows("alice", own) && guesses.knows("bob", own));
        assert!(!guesses.knows("alice", planted));
    }

    #[test]
    fn memory_stays_bounded_whatever_is_guessed() {
        let guesses = Guesses::default();
        for number in 0..20_000_u32 {
            let now = START + Duration::from_millis(number.into());
            guesses.wrong(PASSWORD, &format!("n{number}"), from(number), now);
            guesses.right(&format!("m{number}"), from(number)).unwrap();
            guesses.right("alice", from(number)).unwrap();
        }
        let counts = guesses.counts.lock().unwrap();
        assert_eq!((counts.near.len(), counts.far.len()), (PAIRS_MAX, PLACES));
        assert_eq!(counts.known.len(), KNOWN_MAX);
        assert!(counts.known.values().all(|known| known.len() <= KNOWN_PER_NAME_MAX));
    }
}
