//! The policy as it is in force: every name canonical, every cross-reference resolved.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::approval::{ApprovalPolicy, Carries, ExceptionApproval, StandingApproval};
use super::attested::AttestationRule;
use super::configured::ConfigGate;
use super::fresh::FreshGate;
use super::isolation::Isolation;
use super::mode::{Mode, ModeUntil};
use super::on_error::OnError;
use super::overlay::Alone;
use super::pattern::Pattern;
use super::problem::{FileNumber, Position};
use super::scanned::ScanGate;
use super::signed::SignatureRule;
use super::tags::TagFilter;
use crate::oci::{Digest, DigestError, MediaType, Platform, Registry};
use crate::time::{Timestamp, Window};

/// The identity of a policy: the hash of its text and of every file it refers to; of a directory, of the
/// hashes of all its files, whatever these are called.
///
/// Verdicts are keyed by it, so that one policy's verdict is never taken for another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PolicyId(pub(super) Digest);

impl PolicyId {
    /// All digits, in lower-case hexadecimal.
    pub fn hex(&self) -> String {
        self.0.hex()
    }

    /// The first twelve hexadecimal digits: for people, never for comparing.
    pub fn short(&self) -> String {
        self.0.short()
    }
}

impl fmt::Display for PolicyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for PolicyId {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        text.parse().map(Self)
    }
}

/// The stable name of a rule: it appears in refusals, audit and metrics.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RuleId(pub(super) Arc<str>);

impl RuleId {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What happens when a tag moves to a digest that is not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TagMove {
    /// The last admitted digest goes on being served, visibly.
    #[default]
    HoldNew,
    /// The tag is refused until its new digest is admitted.
    Strict,
}

/// What happens when a tag that was signed by a signer of the policy moves to something that is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignerChange {
    /// Nothing: what the rule asks for is enough.
    Allow,
    /// A person has to approve it.
    #[default]
    Hold,
}

/// Whose word a rule takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trust {
    /// Nobody has to say yes when the checks pass.
    Allow,
    /// Someone has to approve each digest.
    Approve,
    /// Nothing is served.
    Deny,
}

/// What a manifest is, as rules tell things apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Artifact<'a> {
    /// A container image, or an index of them.
    Image,
    /// Anything else, by its artifact type.
    Other(&'a str),
}

impl<'a> From<Option<&'a str>> for Artifact<'a> {
    /// What names the configuration of an image is an image, however it is written.
    fn from(artifact_type: Option<&'a str>) -> Self {
        let other = artifact_type.filter(|text| !MediaType::new(text).is_image_config());
        other.map_or(Self::Image, Self::Other)
    }
}

/// One kind of artifact that a rule names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ArtifactKind {
    /// Container images.
    Image,
    /// Artifacts of this type.
    Type(String),
}

impl ArtifactKind {
    pub(super) fn covers(&self, artifact: Artifact<'_>) -> bool {
        match (self, artifact) {
            (Self::Image, Artifact::Image) => true,
            (Self::Type(named), Artifact::Other(artifact_type)) => {
                MediaType::new(named).is_same(&MediaType::new(artifact_type))
            }
            (Self::Image, Artifact::Other(_)) | (Self::Type(_), Artifact::Image) => false,
        }
    }
}

/// One rule.
#[derive(Debug, Clone)]
pub struct Rule {
    pub(super) id: RuleId,
    pub(super) index: usize,
    pub(super) file: FileNumber,
    pub(super) patterns: Vec<Located<Pattern>>,
    pub(super) artifacts: Vec<ArtifactKind>,
    pub(super) tags: Option<TagFilter>,
    pub(super) trust: Trust,
    pub(super) signatures: Option<SignatureRule>,
    pub(super) attestations: Vec<AttestationRule>,
    pub(super) gates: Vec<Arc<ScanGate>>,
    pub(super) configured: Vec<Arc<ConfigGate>>,
    pub(super) fresh: Vec<Arc<FreshGate>>,
    pub(super) approval: Option<Arc<ApprovalPolicy>>,
    pub(super) standing_approvals: Vec<StandingApproval>,
    pub(super) carries: Option<Carries>,
    pub(super) exception_approval: Option<ExceptionApproval>,
    pub(super) mode: ModeUntil,
    pub(super) tag_move: TagMove,
    pub(super) signer_change: SignerChange,
    pub(super) on_error: OnError,
    pub(super) isolation: Isolation,
}

impl Rule {
    /// Its name.
    pub fn id(&self) -> &RuleId {
        &self.id
    }

    /// The file of the policy that it stands in.
    pub fn file(&self) -> FileNumber {
        self.file
    }

    /// The patterns of the repositories it speaks of, canonical.
    pub fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        self.patterns.iter().map(|pattern| &pattern.value)
    }

    /// The kinds of artifacts it speaks of; none listed is all.
    pub fn artifacts(&self) -> &[ArtifactKind] {
        &self.artifacts
    }

    /// The tags it speaks of; `None` is all, and untagged content too.
    pub fn tags(&self) -> Option<&TagFilter> {
        self.tags.as_ref()
    }

    /// Whose word it takes.
    pub fn trust(&self) -> Trust {
        self.trust
    }

    /// What it asks for by itself; what an image has to have is in [`Demands`](super::Demands).
    pub fn alone(&self) -> Alone<'_> {
        Alone {
            signatures: self.signatures.as_ref(),
            attestations: &self.attestations,
            gates: &self.gates,
            configured: &self.configured,
            fresh: &self.fresh,
        }
    }

    /// The mode of its verdicts at `now`.
    pub fn mode(&self, now: Timestamp) -> Mode {
        self.mode.at(now)
    }

    /// Who has to approve, where the rule asks people and says whom; `None` is one person who may decide.
    pub fn approval(&self) -> Option<&Arc<ApprovalPolicy>> {
        self.approval.as_ref()
    }

    /// What of it needs nobody's yes.
    pub fn standing_approvals(&self) -> &[StandingApproval] {
        &self.standing_approvals
    }

    /// Which approvals of the same content under other names count.
    pub fn carries(&self) -> Option<&Carries> {
        self.carries.as_ref()
    }

    /// Whether an approval that was given elsewhere may count: of the same content, or of an index that lists
    /// it.
    pub fn hears_elsewhere(&self) -> bool {
        let covers = |approval: &Arc<ApprovalPolicy>| approval.covers_children();
        self.trust == Trust::Approve
            && (self.carries.is_some() || self.approval.as_ref().is_some_and(covers))
    }

    /// Who grants exceptions at the desk from what gates refuse of its images; `None`: nobody does.
    pub fn exception_approval(&self) -> Option<&ExceptionApproval> {
        self.exception_approval.as_ref()
    }

    /// As [`Rule::mode`], with the end that it may have.
    pub fn mode_until(&self) -> ModeUntil {
        self.mode
    }

    /// What happens when a tag moves.
    pub fn tag_move(&self) -> TagMove {
        self.tag_move
    }

    /// What becomes of what was admitted when nothing can be decided. An overlay may be stricter.
    pub fn on_error(&self) -> OnError {
        self.on_error
    }

    /// What it asks of the pods that run its images.
    pub fn isolation(&self) -> &Isolation {
        &self.isolation
    }

    /// What happens when a tag moves from what a known signer signed to what they did not.
    pub fn signer_change(&self) -> SignerChange {
        self.signer_change
    }
}

/// Someone whose signature counts: a name, and what proves that it is them.
#[derive(Debug, Clone)]
pub struct Signer {
    pub(super) name: String,
    pub(super) who: Who,
    pub(super) position: Position,
}

/// What proves that a signature is somebody's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// A public key.
    Key {
        /// The key. That one can be made of it is not checked here.
        text: KeyText,
        /// The trust root in one of whose logs the signature must stand; `None` asks for no log.
        log: Option<String>,
        /// When it counts.
        window: Window,
        /// By which algorithm it signs, where the policy says so. That it can is not checked here.
        algorithm: Option<String>,
    },
    /// A certificate by an authority of a trust store, in a signature of the Notary Project.
    Notation {
        /// The trust root that is the store.
        root: String,
        /// The distinguished name that the certificate must have at least; `None` is any. That it is
        /// one is not checked here.
        identity: Option<String>,
        /// Which failures refuse.
        level: Level,
    },
    /// A short-lived certificate for an identity.
    Keyless {
        /// The trust root whose authorities issue it.
        root: String,
        /// The identity provider.
        issuer: WantedText,
        /// Whom it is for.
        subject: WantedText,
        /// Whether the subject is an e-mail address or a URI, where the policy says so.
        subject_type: Option<SubjectType>,
    },
}

/// A public key as a policy has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyText {
    /// A JSON Web Key.
    Jwk(String),
    /// One PEM block.
    Pem(String),
}

impl KeyText {
    /// The key of the policy that has it.
    pub fn part(&self) -> &'static str {
        match self {
            Self::Jwk(_) => "jwk",
            Self::Pem(_) => "pem",
        }
    }
}

/// Which checks of a signature of the Notary Project refuse when they fail.
///
/// Spec:
/// <https://github.com/notaryproject/specifications/blob/v1.1.0/specs/trust-store-trust-policy.md#signature-verification-details>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// That the certificates were valid when it was signed.
    pub authentic_timestamp: bool,
    /// That it has not expired.
    pub expiry: bool,
    /// That no certificate is revoked.
    pub revocation: bool,
}

/// A text as a policy asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WantedText {
    /// Exactly this.
    Exact(String),
    /// Whatever this regular expression takes as a whole.
    Regexp(String),
}

impl WantedText {
    /// The text, or the regular expression.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Exact(text) | Self::Regexp(text) => text,
        }
    }
}

/// What kind of name a certificate has for its subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubjectType {
    /// An e-mail address.
    Email,
    /// A URI.
    Uri,
}

impl Signer {
    /// The name that rules use.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What proves that it is them.
    pub fn who(&self) -> &Who {
        &self.who
    }

    /// Where the policy names the signer, for messages about it.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The key path in the policy of `part` of this signer, for messages about it.
    pub fn path_of(&self, part: &str) -> String {
        let kind = match self.who {
            Who::Key { .. } => "key",
            Who::Keyless { .. } => "keyless",
            Who::Notation { .. } => "notation",
        };
        format!("signers.{}.{kind}.{part}", self.name)
    }
}

/// Whose word counts about certificates, logs and times, by name.
#[derive(Debug, Clone)]
pub struct TrustRoot {
    pub(super) name: String,
    pub(super) kind: TrustRootKind,
    pub(super) position: Position,
}

/// What a trust root is for.
#[derive(Debug, Clone)]
pub enum TrustRootKind {
    /// The certificate authorities and logs of one Sigstore instance.
    Sigstore {
        /// The text of the file. That a trust root can be made of it is not checked here.
        json: String,
        /// In how many distinct logs a signature must stand; at least one. That there are so many is
        /// not checked here.
        logs_min: usize,
        /// Whether every signature needs a timestamp by an authority of the root.
        timestamp: bool,
    },
    /// The authorities behind signatures of the Notary Project.
    Notation(Box<NotationRoot>),
}

/// A trust store as the Notary Project has it. The files are bytes as they were read, and nothing of
/// them is checked here.
#[derive(Debug, Clone, Default)]
pub struct NotationRoot {
    /// Authorities that certify signers.
    pub ca: Vec<Vec<u8>>,
    /// Authorities that certify signers and vouch for the time.
    pub signing_authority: Vec<Vec<u8>>,
    /// Roots of timestamp authorities.
    pub tsa: Vec<Vec<u8>>,
    /// Whether a timestamp is needed only once a certificate has expired.
    pub only_after_expiry: bool,
    /// Revocation lists.
    pub crls: Vec<Vec<u8>>,
    /// How old the last issue of a revocation list may be.
    pub crl_age_max: Duration,
    /// Whether a certificate that no list in force covers is refused.
    pub unknown_fails: bool,
}

impl TrustRoot {
    /// The name of the root that comes with the program, unless the policy has its own of that name.
    pub const PUBLIC_GOOD: &str = "public-good";

    /// The name that signers use.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is for.
    pub fn kind(&self) -> &TrustRootKind {
        &self.kind
    }

    /// Where the policy names it, for messages about it.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The key path of its `part` in the policy, for messages about it.
    pub fn path_of(&self, part: &str) -> String {
        let kind = match self.kind {
            TrustRootKind::Sigstore { .. } => "sigstore",
            TrustRootKind::Notation(_) => "notation",
        };
        format!("trustRoots.{}.{kind}.{part}", self.name)
    }
}

/// The bounds that hold under every rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FloorLimits {
    /// Largest manifest in bytes.
    pub manifest_bytes: u64,
    /// Most signatures on one subject.
    pub signatures_per_image: u64,
    /// Most layers of one image.
    pub layers: u64,
    /// Largest sum of config and layers in bytes; `None` is no bound.
    pub image_bytes: Option<u64>,
}

impl FloorLimits {
    /// Manifests larger than this are never read, whatever a policy says; in bytes.
    pub const MANIFEST_BYTES_MAX: u64 = 4 << 20;
    /// More signatures than this are never looked at, whatever a policy says.
    pub const SIGNATURES_MAX: u64 = 64;
    /// Images with more layers than this are never read, whatever a policy says.
    pub const LAYERS_MAX: u64 = 1000;
}

impl Default for FloorLimits {
    fn default() -> Self {
        Self {
            manifest_bytes: Self::MANIFEST_BYTES_MAX,
            signatures_per_image: Self::SIGNATURES_MAX,
            layers: Self::LAYERS_MAX,
            image_bytes: None,
        }
    }
}

/// An image that is refused under every rule and approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeniedImage {
    /// The manifest.
    pub digest: Digest,
    /// Why, as the policy says it.
    pub reason: String,
}

/// What holds for everything and cannot be loosened by a rule or an approval.
#[derive(Debug, Clone, Default)]
pub(super) struct Floor {
    pub(super) registries: Option<Vec<Registry>>,
    pub(super) platforms: Vec<Platform>,
    pub(super) denied_images: Vec<DeniedImage>,
    pub(super) forbidden_tags: Vec<Pattern>,
    pub(super) limits: FloorLimits,
}

/// A value and where the document has it.
#[derive(Debug, Clone)]
pub(super) struct Located<T> {
    pub(super) value: T,
    pub(super) position: Position,
}
