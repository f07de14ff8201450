//! Whose VEX documents a gate hears.

/// Which statements of VEX documents take findings away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VexRule {
    /// By whom: names of signers of the policy; at least one, no name twice.
    pub from: Vec<String>,
    /// What they may say.
    pub accept: VexAccept,
    /// Whether "not affected" has to say why.
    pub requires_justification: bool,
}

/// The statuses of VEX that take findings away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VexAccept {
    /// That a product is not affected.
    pub not_affected: bool,
    /// That it was mended.
    pub fixed: bool,
}

impl Default for VexAccept {
    fn default() -> Self {
        Self { not_affected: true, fixed: true }
    }
}
