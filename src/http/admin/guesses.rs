//! Guesses at names: how often somebody may be wrong about one, from where.
//!
//! Two counts. One is of a name and a network together: whoever is wrong a few times in a row waits.
//! The other is of a name and all networks that it never signed in from: so many places at once do not
//! help a guesser. A network that the name has signed in from is not held up by what others do, so that
//! nobody keeps somebody out of where they always sign in; and nothing is counted for ever.
//!
//! Names are kept as hashes, whether there are such people or not, in bounded memory.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::throttle::network;
use crate::oci::Digest;

/// Wrong guesses at one name from one network within [`NEAR_WINDOW`].
const NEAR_MAX: u32 = 5;
/// How long those count.
const NEAR_WINDOW: Duration = Duration::from_mins(10);
/// Wrong guesses at one name from all networks that it never signed in from, within [`FAR_WINDOW`].
const FAR_MAX: u32 = 20;
/// How long those count.
const FAR_WINDOW: Duration = Duration::from_hours(1);
/// Pairs of a name and a network that are remembered; beyond it, the oldest is forgotten.
const PAIRS_MAX: usize = 8_192;
/// Names are counted in so many places, by their hash; what falls together is counted together.
const PLACES: usize = 4_096;
/// Networks that a name is known to sign in from; one more, and the oldest is forgotten.
const KNOWN_PER_NAME_MAX: usize = 8;
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

/// The counts.
#[derive(Debug)]
pub(super) struct Guesses {
    counts: Mutex<Counts>,
}

#[derive(Debug)]
struct Counts {
    near: HashMap<(Digest, IpAddr), Count>,
    far: Vec<Count>,
    known: HashMap<Digest, VecDeque<IpAddr>>,
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
    /// How long a guess at the `factor` of `name` from `address` has to wait at `now`, if it has to.
    pub(super) fn wait(
        &self,
        factor: Factor,
        name: &str,
        address: IpAddr,
        now: Duration,
    ) -> Option<Duration> {
        let (key, address) = (key(factor, name), network(address));
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let near = counts.near.get(&(key, address)).copied().unwrap_or_default();
        if let Some(wait) = near.wait(NEAR_MAX, NEAR_WINDOW, now) {
            return Some(wait);
        }
        if counts.knows(name, address) {
            return None;
        }
        let far = counts.far.get(place(&key)).copied().unwrap_or_default();
        far.wait(FAR_MAX, FAR_WINDOW, now)
    }

    /// Counts a wrong guess.
    pub(super) fn wrong(&self, factor: Factor, name: &str, address: IpAddr, now: Duration) {
        let (key, address) = (key(factor, name), network(address));
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if !counts.knows(name, address)
            && let Some(far) = counts.far.get_mut(place(&key))
        {
            far.add(FAR_WINDOW, now);
        }
        if counts.near.len() >= PAIRS_MAX && !counts.near.contains_key(&(key, address)) {
            counts.make_room(now);
        }
        counts.near.entry((key, address)).or_default().add(NEAR_WINDOW, now);
    }

    /// Notes that `name` signed in from `address`.
    pub(super) fn right(&self, name: &str, address: IpAddr) {
        let address = network(address);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        for factor in [Factor::Code, Factor::Password] {
            counts.near.remove(&(key(factor, name), address));
        }
        let name = Digest::sha256(name.as_bytes());
        if counts.known.len() >= KNOWN_MAX && !counts.known.contains_key(&name) {
            return;
        }
        let known = counts.known.entry(name).or_default();
        known.retain(|one| *one != address);
        known.push_back(address);
        if known.len() > KNOWN_PER_NAME_MAX {
            known.pop_front();
        }
    }
}

impl Counts {
    fn knows(&self, name: &str, address: IpAddr) -> bool {
        let known = self.known.get(&Digest::sha256(name.as_bytes()));
        known.is_some_and(|known| known.contains(&address))
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

fn key(factor: Factor, name: &str) -> Digest {
    Digest::sha256(format!("{}\0{name}", factor.as_str()).as_bytes())
}

fn place(key: &Digest) -> usize {
    let two = key.as_bytes().iter().take(2);
    two.fold(0, |place, byte| place * 256 + usize::from(*byte)) % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(10_000);
    const PASSWORD: Factor = Factor::Password;

    fn address(number: u32) -> IpAddr {
        IpAddr::V4((0x0a00_0000 + number).into())
    }

    #[test]
    fn whoever_is_wrong_a_few_times_waits_and_others_do_not() {
        let guesses = Guesses::default();
        for _ in 0..NEAR_MAX {
            assert_eq!(guesses.wait(PASSWORD, "alice", address(1), START), None);
            guesses.wrong(PASSWORD, "alice", address(1), START);
        }
        assert_eq!(guesses.wait(PASSWORD, "alice", address(1), START), Some(NEAR_WINDOW));
        assert_eq!(guesses.wait(PASSWORD, "bob", address(1), START), None);
        assert_eq!(guesses.wait(PASSWORD, "alice", address(2), START), None);
        assert_eq!(guesses.wait(Factor::Code, "alice", address(1), START), None);
        assert_eq!(guesses.wait(PASSWORD, "alice", address(1), START + NEAR_WINDOW), None);
    }

    #[test]
    fn many_places_at_once_help_no_guesser_and_keep_nobody_out_of_where_they_are_known() {
        let guesses = Guesses::default();
        guesses.right("alice", address(9_000));
        let mut tried = 0;
        for number in 0..1_000 {
            if guesses.wait(PASSWORD, "alice", address(number), START).is_none() {
                guesses.wrong(PASSWORD, "alice", address(number), START);
                tried += 1;
            }
        }
        assert_eq!(tried, FAR_MAX);
        assert_eq!(guesses.wait(PASSWORD, "alice", address(9_000), START), None);
        assert!(guesses.wait(PASSWORD, "alice", address(9_001), START).is_some());
        assert_eq!(guesses.wait(PASSWORD, "alice", address(9_001), START + FAR_WINDOW), None);
        // And whoever guesses from there waits as anybody.
        for _ in 0..NEAR_MAX {
            guesses.wrong(PASSWORD, "alice", address(9_000), START);
        }
        assert!(guesses.wait(PASSWORD, "alice", address(9_000), START).is_some());
    }

    #[test]
    fn memory_stays_bounded_whatever_is_guessed() {
        let guesses = Guesses::default();
        for number in 0..20_000_u32 {
            let now = START + Duration::from_millis(number.into());
            guesses.wrong(PASSWORD, &format!("n{number}"), address(number), now);
            guesses.right(&format!("m{number}"), address(number));
            guesses.right("alice", address(number));
        }
        let counts = guesses.counts.lock().unwrap();
        assert_eq!((counts.near.len(), counts.far.len()), (PAIRS_MAX, PLACES));
        assert_eq!(counts.known.len(), KNOWN_MAX);
        assert!(counts.known.values().all(|known| known.len() <= KNOWN_PER_NAME_MAX));
    }
}
