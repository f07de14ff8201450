//! Why nobody broke the glass, or what was not done about one.

use std::time::Duration;

use crate::gate::EmergencyId;
use crate::text::span;

/// Why not; nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EmergencyError {
    /// The policy says nothing of it.
    #[error(
        "the policy has no breakGlass, so that nobody may break the glass; add breakGlass: {{who: \
         [\"group:...\"]}} to it"
    )]
    NotInPolicy,
    /// The policy does not name whoever asks.
    #[error("{who} may not break the glass: breakGlass.who of the policy names {named}")]
    NotNamed {
        /// Who asked.
        who: String,
        /// Whom the policy names.
        named: String,
    },
    /// The policy does not let it be used for this.
    #[error("breakGlass.match of the policy does not cover {name}")]
    NotCovered {
        /// The repository.
        name: String,
    },
    /// Something holds whatever the emergency.
    #[error("no break-glass overrides this: {why}")]
    Holds {
        /// What.
        why: String,
    },
    /// Not exactly one of an image and a repository.
    #[error("name either an image or a repository")]
    Scope,
    /// A text is no repository.
    #[error("{text:?} is no repository; write all of it: docker.io/library/redis")]
    Repository {
        /// The text.
        text: String,
    },
    /// No ticket, or one that is too long.
    #[error("a ticket is one line of at most {max} characters; breakGlass.requires asks for one")]
    Ticket {
        /// Most characters.
        max: usize,
    },
    /// A time that is none, or is too long.
    #[error("a break-glass holds for 1m up to {} (breakGlass.maxTTL); write it as 30m or 2h", span(*max))]
    Ttl {
        /// The longest.
        max: Duration,
    },
    /// There is none with that number.
    #[error("there is no break-glass {text}")]
    Unknown {
        /// The number that was asked for.
        text: String,
    },
    /// Whoever used it, or said yes to it, has no other part in it.
    #[error("{who} used {id} or said yes to it; somebody else has to do this")]
    Own {
        /// Who.
        who: String,
        /// Which.
        id: EmergencyId,
    },
    /// It is of somebody else.
    #[error("{id} was used by somebody else; ending it takes role approver")]
    NotOwn {
        /// Which.
        id: EmergencyId,
    },
    /// No verdict of a review.
    #[error("a review says justified or not-justified")]
    Review,
    /// It is still in force, or was reviewed.
    #[error("{id} cannot be reviewed: {why}")]
    NotReviewable {
        /// Which.
        id: EmergencyId,
        /// Why not.
        why: &'static str,
    },
}
