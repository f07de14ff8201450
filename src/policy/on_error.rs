//! What becomes of what was admitted when it has to be decided again and nothing can be decided.

use std::fmt;
use std::time::Duration;

/// Whether the last admission goes on being served when nothing can be decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnError {
    /// Nothing is served that cannot be decided.
    #[default]
    Deny,
    /// What was admitted is served for at most this long since that verdict was last in force.
    Stale(Duration),
}

impl OnError {
    /// The longest time that a policy may write.
    pub const STALE_MAX: Duration = Duration::from_hours(30 * 24);
    /// The longest time where the policy says nothing else.
    pub const STALE_VERDICT: Duration = Duration::from_hours(24);
}

impl fmt::Display for OnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deny => f.write_str("deny: what cannot be decided is not served"),
            Self::Stale(most) => {
                let hours = most.as_secs() / 3600;
                write!(f, "stale: what was admitted is served on for {hours} h at most")
            }
        }
    }
}
