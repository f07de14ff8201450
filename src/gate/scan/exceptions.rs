//! Which exceptions are in force for an image: those of the policy first, then those of the desk.

use std::collections::{BTreeMap, BTreeSet};

use super::findings::MALWARE;
use crate::gate::{Context, DeskException, Excepted, Subject};
use crate::oci::Digest;
use crate::policy::{Exception, ExceptionApproval, Policy, Rule, ScanGate};
use crate::scan::Finding;
use crate::time::Timestamp;

/// The exceptions that are in force for an image, by what they except.
///
/// Each takes out what it says by itself: no two of them together take out a finding that neither does.
pub(in crate::gate) struct Exceptions<'a> {
    of_policy: BTreeMap<&'a str, Vec<&'a Exception>>,
    of_desk: BTreeMap<&'a str, Vec<&'a DeskException>>,
    /// Who grants those of the desk.
    granting: Option<&'a ExceptionApproval>,
}

/// One exception that is in force.
#[derive(Clone, Copy)]
pub(in crate::gate) enum InForce<'a> {
    Policy(&'a Exception),
    Desk(&'a DeskException, &'a ExceptionApproval),
}

impl InForce<'_> {
    pub(in crate::gate) fn expires(self) -> Timestamp {
        match self {
            Self::Policy(exception) => exception.expires,
            Self::Desk(exception, _) => exception.expires,
        }
    }

    /// Whether it may take out what `gate` refuses.
    pub(in crate::gate) fn takes_from(self, gate: &ScanGate) -> bool {
        match self {
            Self::Policy(exception) => exception.takes_from(gate),
            Self::Desk(_, granting) => granting.takes_from(gate),
        }
    }

    /// `finding` of `image`, as this takes it out.
    pub(in crate::gate) fn taking_out(self, image: Digest, finding: &Finding) -> Excepted {
        let by = match self {
            Self::Policy(exception) => (exception.id.as_str(), &[][..], exception.expires),
            Self::Desk(exception, _) => {
                (exception.id.as_str(), &exception.by[..], exception.expires)
            }
        };
        Excepted::new(image, finding, by)
    }
}

impl<'a> Exceptions<'a> {
    /// Those for the image `digest` of `subject`, about which `rule` decides: they may name either digest.
    pub(in crate::gate) fn of(
        subject: &Subject,
        digest: Digest,
        context: &Context<'a>,
        rule: Option<&'a Rule>,
    ) -> Self {
        let policy: &'a Policy = context.policy;
        let mut of_policy: BTreeMap<&str, Vec<&Exception>> = BTreeMap::new();
        let digests = BTreeSet::from([subject.digest, digest]);
        for digest in &digests {
            let (found, time_max) = policy.exceptions_for(&subject.name, digest);
            for exception in found.filter(|it| it.is_in_force(context.now, time_max)) {
                of_policy.entry(&exception.vulnerability).or_default().push(exception);
            }
        }
        let granting = rule.and_then(Rule::exception_approval);
        let mut of_desk: BTreeMap<&str, Vec<&DeskException>> = BTreeMap::new();
        let is_meant = |it: &&DeskException| it.digest.is_none_or(|only| digests.contains(&only));
        for exception in context.granted.iter().filter(is_meant) {
            if granting.is_some_and(|granting| holds(exception, policy, granting, context.now)) {
                of_desk.entry(&exception.vulnerability).or_default().push(exception);
            }
        }
        Self { of_policy, of_desk, granting }
    }

    /// Those that may take `finding` out, those of the policy first. Malware is excepted by its own name only:
    /// other names of it may be those of a vulnerability; and by the policy only.
    pub(in crate::gate) fn from(&self, finding: &Finding) -> Vec<InForce<'a>> {
        if self.of_policy.is_empty() && self.of_desk.is_empty() {
            return Vec::new();
        }
        let names = || [&finding.id].into_iter().chain(finding.aliases.iter());
        let own = names().filter(|name| !finding.malware || name.starts_with(MALWARE));
        let of_policy = own.filter_map(|name| self.of_policy.get(name.as_str())).flatten();
        let of_policy = of_policy.filter(|it| is_there(it.package.as_ref(), finding));
        let mut all: Vec<InForce<'a>> = of_policy.map(|it| InForce::Policy(it)).collect();
        if let Some(granting) = self.granting.filter(|_| !finding.malware) {
            let of_desk = names().filter_map(|name| self.of_desk.get(name.as_str())).flatten();
            let of_desk = of_desk.filter(|it| is_there(it.package.as_ref(), finding));
            let mut of_desk: Vec<&DeskException> = of_desk.copied().collect();
            // What lasts longest takes it out; of two the one that came last.
            of_desk.sort_by_key(|it| it.expires);
            all.extend(of_desk.into_iter().rev().map(|it| InForce::Desk(it, granting)));
        }
        all
    }
}

/// Whether `exception` is in force where `granting` says who grants: it was granted by that approval policy
/// and by no fewer people than that asks for, and lasts no longer from now than may be.
fn holds(
    exception: &DeskException,
    policy: &Policy,
    granting: &ExceptionApproval,
    now: Timestamp,
) -> bool {
    let approval = granting.approval();
    let longest = granting.longest(policy.exception_time_max());
    approval.name() == exception.approval
        && approval.quorum() <= exception.counted
        && now < exception.expires
        && exception.expires <= now.after(longest)
}

fn is_there(only: Option<&String>, finding: &Finding) -> bool {
    let package = &finding.package;
    only.is_none_or(|only| *only == package.name || *only == package.source_name())
}
