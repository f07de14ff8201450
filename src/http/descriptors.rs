//! File descriptors: clients may not have those that files and upstreams need.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

/// Descriptors that the program itself has open before anybody asks for anything: listeners, ledger,
/// index, and those by which its threads wait.
const OWN: u64 = 24;

/// Parts of the other descriptors that the connections of a listener may take; the rest is for the
/// store, the ledger and upstreams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Share {
    /// An eighth.
    Admins,
    /// Five eighths.
    Nodes,
}

impl Share {
    const fn eighths(self) -> u64 {
        match self {
            Self::Admins => 1,
            Self::Nodes => 5,
        }
    }
}

/// Raises the number of descriptors that this process may have as far as it may by itself.
pub fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        warn!(%error, "the limit of open files was not raised");
    }
}

/// `wanted` connections, or as many as `share` has descriptors for.
pub(super) fn connections_allowed(wanted: usize, share: Share) -> usize {
    let Some(limit) = getrlimit(Resource::Nofile).current else { return wanted };
    let allowed = allowed(wanted, share, limit);
    if allowed < wanted {
        warn!(
            wanted,
            allowed, limit, "fewer connections than configured: too few files may be open"
        );
    }
    allowed
}

fn allowed(wanted: usize, share: Share, limit: u64) -> usize {
    let most = limit.saturating_sub(OWN) / 8 * share.eighths();
    wanted.min(usize::try_from(most).unwrap_or(usize::MAX)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_descriptors_and_a_quarter_of_the_others_are_never_given_to_clients() {
        for limit in [64, 256, 1_024, 1 << 20] {
            let all = [Share::Admins, Share::Nodes].map(|share| allowed(usize::MAX, share, limit));
            let rest = usize::try_from(limit - OWN).unwrap();
            assert_eq!(all.iter().sum::<usize>(), rest / 8 * 6);
        }
        assert_eq!(allowed(8, Share::Nodes, 1_024), 8);
        assert_eq!(allowed(8, Share::Nodes, 0), 1);
    }
}
