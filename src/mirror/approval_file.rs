//! Approval files: somebody's yes or no to one image, signed by them, in a file that may come from git.
//!
//! A file is a DSSE envelope. What is signed is all that a vote at the desk is bound to, but for the hash of the
//! policy: that changes with every edit, and a file has to stand as long as what its signer relied on does. So
//! everything of the policy that they relied on is in it by itself.
//!
//! Whoever signs has a [`Draft`] before them, which has the texts behind the hashes; [`Draft::check`] says
//! whether these belong together, so that what is shown is what is signed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::gate::{ReadyPolicy, Subject};
use crate::ledger::to_canonical;
use crate::oci::{Digest, JsonError, Name, from_strict_slice};
use crate::policy::ApprovalPolicy;
use crate::signature::{Envelope, EnvelopeError, Key, SigningKey, SigningKeyError};
use crate::time::Timestamp;

/// What an envelope holds that is an approval file.
pub const PAYLOAD_TYPE: &str = "application/vnd.pratique.approval+json";
/// Largest draft in bytes: it has every finding in words.
pub const DRAFT_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// What a statement says that it is.
const STATEMENT: &str = "pratique.dev/approval/v1";
/// What a draft says that it is.
const DRAFT: &str = "pratique.dev/approval-draft/v1";

/// Yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Said {
    /// It may be served where the rule asks for it.
    Approve,
    /// It must not be served.
    Reject,
}

impl Said {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Reject => "reject",
        }
    }
}

/// Who is asked, and what they are asked about: a file counts only while all of it is still so.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// The name of the policy.
    pub policy: String,
    /// The rule that asks.
    pub rule: String,
    /// The approval policy that says whom.
    pub approval: String,
    /// How many people it asks.
    pub quorum: u64,
    /// Whether each of them has to stand for another of the approvers.
    pub distinct_groups: bool,
    /// Whose yes counts.
    pub approvers: Vec<String>,
    /// Whether who asked for the image may say yes to it.
    pub self_approval: bool,
    /// Whether a yes to an index is one to everything that it lists.
    pub covers_children: bool,
    /// How many seconds an approval holds at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_after: Option<u64>,
    /// What becomes of the image when something is found that nobody was shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_new_finding: Option<String>,
    /// After how many seconds signatures are looked for again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looks_again_after: Option<u64>,
    /// A hash of the findings.
    pub findings: String,
    /// A hash of what was found of signatures.
    pub signed: String,
    /// A hash of what speaks against it, and of how many findings are silenced.
    pub reasons: String,
    /// How many decisions about the image there were before.
    pub decisions: u64,
}

impl Asked {
    /// What `approval` asks in the name of `rule` of the policy `policy`; the evidence and the decisions are for
    /// the caller to say.
    pub(super) fn of(policy: &str, rule: &str, approval: &ApprovalPolicy) -> Self {
        Self {
            policy: policy.to_owned(),
            rule: rule.to_owned(),
            approval: approval.name().to_owned(),
            quorum: u64::try_from(approval.quorum()).unwrap_or(u64::MAX),
            distinct_groups: approval.distinct_groups(),
            approvers: approval.approvers().iter().map(ToString::to_string).collect(),
            self_approval: approval.self_approval(),
            covers_children: approval.covers_children(),
            expires_after: approval.expires_after().map(|time| time.as_secs()),
            on_new_finding: approval.on_new_finding().map(|it| it.to_string()),
            looks_again_after: approval.looks_again_after().map(|time| time.as_secs()),
            findings: String::new(),
            signed: String::new(),
            reasons: String::new(),
            decisions: 0,
        }
    }

    /// The same about this evidence, after so many decisions.
    #[must_use]
    pub(super) fn about(self, evidence: [String; 3], decisions: u64) -> Self {
        let [findings, signed, reasons] = evidence;
        Self { findings, signed, reasons, decisions, ..self }
    }

    /// What of it differs from `policy`'s words about whom it asks, in words.
    pub fn asks_otherwise(&self, now: &Self) -> Option<String> {
        let was = |what: &str, was: &dyn std::fmt::Display, is: &dyn std::fmt::Display| {
            Some(format!("it was signed for {what} {was}, and that is {is} now"))
        };
        if self.policy != now.policy {
            return was("policy", &self.policy, &now.policy);
        }
        if self.rule != now.rule {
            return was("rule", &self.rule, &now.rule);
        }
        if self.approval != now.approval {
            return was("approval policy", &self.approval, &now.approval);
        }
        if self.quorum != now.quorum {
            return was("a quorum of", &self.quorum, &now.quorum);
        }
        if self.approvers != now.approvers {
            return was("approvers", &self.approvers.join(", "), &now.approvers.join(", "));
        }
        let rest = |it: &Self| Self {
            findings: String::new(),
            signed: String::new(),
            reasons: String::new(),
            decisions: 0,
            ..it.clone()
        };
        (rest(self) != rest(now)).then(|| {
            "its approval policy is another now: distinctGroups, selfApproval, binds, expiresAfter, \
             onNewFinding or reEvaluate"
                .to_owned()
        })
    }

    /// What of it is not so any more, in words.
    pub fn differs(&self, now: &Self) -> Option<String> {
        let why = if self.decisions != now.decisions {
            "people decided about the image since it was drafted"
        } else if let Some(why) = self.asks_otherwise(now) {
            return Some(why);
        } else if self.findings != now.findings {
            "the findings are others"
        } else if self.signed != now.signed {
            "what was found of signatures is another"
        } else if self.reasons != now.reasons {
            "something else speaks against it"
        } else {
            return None;
        };
        Some(why.to_owned())
    }
}

/// What somebody signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    kind: String,
    /// The repository.
    pub name: Name,
    /// The manifest.
    pub digest: Digest,
    /// Yes or no.
    pub decision: Said,
    /// Who says it, by the name that the policy has for their key.
    pub signer: String,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
    /// Until when an approval is to hold, as far as they are concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// What they were shown.
    pub asked: Asked,
}

impl Statement {
    /// What it is about.
    pub fn subject(&self) -> Subject {
        Subject { name: self.name.clone(), digest: self.digest }
    }
}

/// Why a file is no vote.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It is no envelope of a vote.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// What is signed is no statement.
    #[error("holds no approval in strict JSON: {}", .0.without_content())]
    Payload(JsonError),
    /// What is signed is not written as it has to be.
    #[error("holds an approval that is not canonical JSON; sign it with pratique approval sign")]
    NotCanonical,
    /// A later program wrote it.
    #[error("holds something of kind {0}, which this version does not know")]
    Kind(String),
}

/// An approval file: the envelope, and what is in it. Who signed is not verified yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalFile {
    /// The envelope.
    pub envelope: Envelope,
    /// What it says.
    pub statement: Statement,
}

impl ApprovalFile {
    /// The file in `bytes`.
    ///
    /// # Errors
    /// See [`FileError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, FileError> {
        let envelope = Envelope::parse(bytes, PAYLOAD_TYPE)?;
        let statement: Statement =
            from_strict_slice(envelope.payload()).map_err(FileError::Payload)?;
        if statement.kind != STATEMENT {
            return Err(FileError::Kind(statement.kind.chars().take(80).collect()));
        }
        // One statement has one text: nothing in it that was not read, and no second way to read it.
        let canonical = to_canonical(&statement).unwrap_or_default();
        if canonical.as_bytes() != envelope.payload() {
            return Err(FileError::NotCanonical);
        }
        Ok(Self { envelope, statement })
    }

    /// The key that it is signed with, which is that of the signer by `policy`.
    ///
    /// # Errors
    /// Why it is nobody's word, in words.
    pub fn signed_by(&self, policy: &ReadyPolicy, now: Timestamp) -> Result<Key, String> {
        let name = &self.statement.signer;
        let Some((key, window)) = policy.approver_key(name) else {
            return Err(format!(
                "the policy has no signer {name:?} with a key and transparencyLog: none"
            ));
        };
        self.envelope.verify(&key).map_err(|error| error.to_string())?;
        if !window.contains(now) {
            return Err(format!("the key of signer {name} counts only {window}"));
        }
        Ok(key)
    }

    /// That it is signed by somebody whom `policy` asks about what the rule decides, and was drafted for what
    /// that asks. Whether the image and what people decided about it are still so is not known here.
    ///
    /// # Errors
    /// Why not, in words.
    pub fn fits(&self, policy: &ReadyPolicy, now: Timestamp) -> Result<(), String> {
        self.signed_by(policy, now)?;
        let Statement { asked, signer, .. } = &self.statement;
        let rule = policy.rules().iter().find(|it| it.id().as_str() == asked.rule);
        let Some(approval) = rule.and_then(|rule| rule.approval()) else {
            return Err(format!("the policy has no rule {} with an approval policy", asked.rule));
        };
        if let Some(why) = asked.asks_otherwise(&Asked::of(policy.name(), &asked.rule, approval)) {
            return Err(why);
        }
        if !approval.signers().any(|it| it == signer) {
            return Err(format!("signer:{signer} is none of the approvers: {approval}"));
        }
        Ok(())
    }
}

/// What could be signed about an image, with the texts behind the hashes.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    kind: String,
    /// The repository.
    pub name: Name,
    /// The manifest.
    pub digest: Digest,
    /// The request, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// What a file would be bound to.
    pub asked: Asked,
    /// What the hashes are of.
    pub evidence: DraftEvidence,
}

/// The texts behind the hashes of a draft.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DraftEvidence {
    /// The findings, one a line.
    pub findings: String,
    /// What was found of signatures.
    pub signed: String,
    /// What speaks against it, one a line; the last line is how many findings are silenced.
    pub reasons: String,
}

/// Why a draft is not signed.
#[derive(Debug, thiserror::Error)]
pub enum DraftError {
    /// It is no draft.
    #[error("is no draft of an approval: {}", .0.without_content())]
    Unreadable(JsonError),
    /// A later program wrote it, or it is something else.
    #[error("is no draft of a kind that this version knows")]
    Kind,
    /// The texts are not what the hashes are of.
    #[error("shows {0} that are not those which would be signed; do not sign it, get a new draft")]
    Altered(&'static str),
    /// The signer is none of those who are asked.
    #[error("does not ask signer:{0}; it asks {1}")]
    NotAsked(String, String),
    /// It cannot be signed.
    #[error(transparent)]
    Key(#[from] SigningKeyError),
    /// What would be signed cannot be written.
    #[error("cannot be written as JSON")]
    Json(#[from] serde_json::Error),
}

/// What somebody says about a draft.
#[derive(Debug, Clone)]
pub struct Word {
    /// Yes or no.
    pub decision: Said,
    /// Who says it.
    pub signer: String,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
    /// Until when an approval is to hold.
    pub expires: Option<Timestamp>,
}

impl Draft {
    pub(super) fn new(
        subject: Subject,
        request: Option<String>,
        asked: Asked,
        evidence: [String; 3],
    ) -> Self {
        let Subject { name, digest } = subject;
        let [findings, signed, reasons] = evidence;
        let evidence = DraftEvidence { findings, signed, reasons };
        Self { kind: DRAFT.to_owned(), name, digest, request, asked, evidence }
    }

    /// The draft in `bytes`.
    ///
    /// # Errors
    /// See [`DraftError`]; also where it shows something else than would be signed.
    pub fn parse(bytes: &[u8]) -> Result<Self, DraftError> {
        let draft: Self = from_strict_slice(bytes).map_err(DraftError::Unreadable)?;
        draft.check()?;
        Ok(draft)
    }

    /// That it shows what would be signed.
    ///
    /// # Errors
    /// [`DraftError::Kind`], [`DraftError::Altered`].
    pub fn check(&self) -> Result<(), DraftError> {
        if self.kind != DRAFT {
            return Err(DraftError::Kind);
        }
        let DraftEvidence { findings, signed, reasons } = &self.evidence;
        let all = [
            ("findings", findings, &self.asked.findings),
            ("signatures", signed, &self.asked.signed),
            ("reasons", reasons, &self.asked.reasons),
        ];
        for (what, text, hash) in all {
            if Digest::sha256(text.as_bytes()).to_string() != *hash {
                return Err(DraftError::Altered(what));
            }
        }
        Ok(())
    }

    /// A file that says `word` about it, signed with `key`.
    ///
    /// # Errors
    /// As [`check`](Self::check); [`DraftError::NotAsked`], [`DraftError::Key`].
    pub fn sign(&self, word: Word, key: &SigningKey) -> Result<ApprovalFile, DraftError> {
        self.check()?;
        let Word { decision, signer, at, reason, expires } = word;
        if !self.asked.approvers.contains(&format!("signer:{signer}")) {
            return Err(DraftError::NotAsked(signer, self.asked.approvers.join(", ")));
        }
        let statement = Statement {
            kind: STATEMENT.to_owned(),
            name: self.name.clone(),
            digest: self.digest,
            decision,
            signer,
            at,
            reason,
            expires,
            asked: self.asked.clone(),
        };
        let payload = to_canonical(&statement)?;
        let envelope = key.sign(PAYLOAD_TYPE, payload.as_bytes())?;
        Ok(ApprovalFile { envelope, statement })
    }
}
