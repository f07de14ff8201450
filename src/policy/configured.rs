//! What rules ask of the configurations of images.

use std::fmt;

use super::document::RuleId;
use super::overlay::label;
use super::pattern::Pattern;
use super::scanned::Answer;

/// The part of a gate that is about the configuration of images. What it does not speak of is not looked
/// at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigGate {
    /// The name of the gate.
    pub name: String,
    /// The overlay that names it, where no rule does.
    pub overlay: Option<RuleId>,
    /// As whom images may run.
    pub user: Option<UserRule>,
    /// The environment variables that no image may have.
    pub denied_env: Vec<EnvPattern>,
    /// Whether what looks like a credential is refused in the environment.
    pub denies_secret_like: bool,
    /// The ports that no image may expose, of whatever protocol.
    pub denied_ports: Vec<u16>,
    /// The labels that every image must have.
    pub required_labels: Vec<String>,
    /// Whether every image must have a health check.
    pub requires_healthcheck: bool,
    /// What becomes of what is no image, and has no configuration to look at.
    pub not_applicable: Answer,
}

impl ConfigGate {
    /// What stands in front of what it refuses: who asks for it, where that is not the rule.
    pub fn label(&self) -> String {
        label(self.overlay.as_ref())
    }

    /// Where the policy has it, for messages about it.
    pub fn place(&self) -> String {
        format!("gates.{}", self.name)
    }
}

/// As whom images may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserRule {
    /// As anybody but root: a name that is not root's is believed.
    NonRoot,
    /// As a number that is not 0, which nothing in the image can make another.
    Numeric,
}

/// A pattern over the names of environment variables, in any letter case: `*` stands for any run of
/// characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvPattern {
    text: String,
    pattern: Pattern,
}

impl EnvPattern {
    /// The pattern in `text`.
    ///
    /// # Errors
    /// In words, when it is empty, too long, or has a `=`, which no name has.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.contains('=') {
            return Err("has a =; write the name alone".to_owned());
        }
        // As it stands first, for its mistakes; and then with `*` for slashes, too.
        Pattern::parse(text)?;
        let wide = text.to_lowercase().replace("**", "*").replace('*', "**");
        Ok(Self { text: text.to_owned(), pattern: Pattern::parse(&wide)? })
    }

    /// Whether it covers the variable `name`.
    pub fn covers(&self, name: &str) -> bool {
        self.pattern.matches(&name.to_lowercase())
    }
}

impl fmt::Display for EnvPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
