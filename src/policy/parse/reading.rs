//! From documents to one policy: the base file first, then every file with a scope, then what only shows when
//! all of them are seen.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::super::Policy;
use super::super::approval::ExceptionApproval;
use super::super::break_glass::BreakGlass;
use super::super::clients::ClientRule;
use super::super::document::{Floor, Located, PolicyId, Signer, Trust, TrustRoot};
use super::super::expressions::NamedExpression;
use super::super::fields::{Fields, Problems};
use super::super::files::{PolicyFile, PolicySource};
use super::super::lately::Lately;
use super::super::pattern::Pattern;
use super::super::problem::{FileNumber, Position};
use super::super::scanned::{Exception, ScanGate};
use super::super::source::Source;
use super::super::yaml::Node;
use super::approvals::Approvals;
use super::files::{Files, identity};
use super::gates::Gate;
use super::overlays::ReadOverlay;
use super::parts::{self, Given, Names, Part};
use super::rules::ReadRule;
use super::{
    API_VERSION, Defaults, KIND, TOP, approvals, break_glass, check, clients, expressions,
    fixed_word, floor, gates, overlays, read_defaults, read_metadata, read_revision, rules,
    signers, trust_roots,
};

/// Reading a policy.
pub(super) struct Reading<'a> {
    pub(super) sources: &'a [PolicySource<'a>],
    pub(super) read_file: &'a dyn Fn(&Path) -> io::Result<Vec<u8>>,
}

/// What the base file says and others go by.
struct Base {
    number: FileNumber,
    name: Option<String>,
    revision: Option<u64>,
    given: Option<Given>,
    defaults: Defaults,
    floor: Option<(Floor, Option<Arc<ScanGate>>)>,
    trust_roots: Vec<TrustRoot>,
    approvals: Approvals,
    granting: Option<ExceptionApproval>,
    exception_time_max: Duration,
    expressions: Vec<NamedExpression>,
    break_glass: Option<Arc<BreakGlass>>,
    clients: Vec<ClientRule>,
    held: Held,
}

/// What a file holds.
#[derive(Default)]
struct Held {
    signers: Vec<Signer>,
    gates: Vec<Gate>,
    exceptions: Vec<Exception>,
    rules: Vec<ReadRule>,
    overlays: Vec<ReadOverlay>,
}

impl Held {
    fn take_in(&mut self, more: Self) {
        self.signers.extend(more.signers);
        self.gates.extend(more.gates);
        self.exceptions.extend(more.exceptions);
        self.rules.extend(more.rules);
        self.overlays.extend(more.overlays);
    }

    /// Marks what it excepts, and what is excepted from, as being of the file with that number.
    fn belong_to(&mut self, number: FileNumber) {
        for exception in &mut self.exceptions {
            exception.part = Some(number);
        }
        let of_rules = self.rules.iter_mut().flat_map(|read| &mut read.rule.gates);
        let of_overlays = self.overlays.iter_mut().flat_map(|read| &mut read.overlay.gates);
        for gate in of_rules.chain(of_overlays) {
            Arc::make_mut(gate).part = Some(number);
        }
        // Whom it lets grant exceptions takes from its own gates: it takes nothing away of the base.
        let granting = self.rules.iter_mut().filter_map(|it| it.rule.exception_approval.as_mut());
        for own in granting.filter(|it| it.is_of_rule) {
            own.part = Some(number);
        }
    }

    /// What rules and overlays name is there, where `signers` are those that they may name.
    fn check_names(&self, signers: &[Signer], problems: &mut Problems) {
        for read in &self.rules {
            check::quorums(&read.quorums, &read.attestations, signers, problems);
        }
        for read in &self.overlays {
            check::quorums(&read.quorums, &read.attestations, signers, problems);
        }
    }
}

impl Reading<'_> {
    /// The policy, and how it is written; what is wrong with it goes to `problems`.
    pub(super) fn policy(&self, problems: &mut Problems) -> Option<(Policy, Source)> {
        let parts::Documents { base: (number, node), parts: nodes } =
            parts::documents(self.sources, &mut problems.0)?;
        let mut files = self.files(number, true);
        let base = Self::base(number, node, nodes.is_empty(), &mut files, problems);
        let mut contents = BTreeMap::new();
        let mut digests = vec![files.done(&mut contents)];
        let mut base = base?;
        let (mut read, mut held) = (Vec::new(), Held::default());
        for (number, node) in nodes {
            let mut files = self.files(number, false);
            let part = self.part(number, node, &base, &mut files, problems);
            digests.push(files.done(&mut contents));
            if let Some((part, its)) = part {
                read.push(part);
                held.take_in(its);
            }
        }
        base.held.take_in(held);
        self.check(&base, &read, problems);
        let source = self.source(base.number, contents);
        Some((self.assemble(base, read, identity(digests))?, source))
    }

    /// How the policy is written whose base is the file `base`.
    fn source(&self, base: FileNumber, files: BTreeMap<String, Vec<u8>>) -> Source {
        let is_base = |place: usize| place == usize::from(base.0);
        let all = || self.sources.iter().enumerate();
        let parts = all().filter(|(place, _)| !is_base(*place));
        let parts = parts.map(|(_, it)| (it.path.to_owned(), it.text.to_owned())).collect();
        let base = all().find(|(place, _)| is_base(*place)).map(|(_, source)| *source);
        let PolicySource { path, text } = base.unwrap_or(PolicySource { path: "", text: "" });
        Source { path: path.to_owned(), text: text.to_owned(), parts, files }
    }

    fn files(&self, number: FileNumber, anywhere: bool) -> Files<'_> {
        let none = PolicySource { path: "", text: "" };
        let source = self.sources.get(usize::from(number.0)).unwrap_or(&none);
        Files::of(source, anywhere, self.read_file)
    }

    fn base(
        number: FileNumber,
        node: Node,
        is_alone: bool,
        files: &mut Files<'_>,
        problems: &mut Problems,
    ) -> Option<Base> {
        let mut top = Fields::of(node, "", TOP, problems)?;
        fixed_word(&mut top, "apiVersion", API_VERSION, problems);
        fixed_word(&mut top, "kind", KIND, problems);
        let metadata = read_metadata(&mut top, problems);
        let (mut name, mut revision, mut given) = (None, None, None);
        if let Some((mut metadata, its_name)) = metadata {
            (name, revision) = (its_name, read_revision(&mut metadata, problems));
            given = parts::given(&mut metadata, problems);
            parts::no_owner(&mut metadata, problems);
        }
        let approvals = top.take("approvalPolicies").map(|node| approvals::read(node, problems));
        let (approvals, named_signers) = approvals.unwrap_or_default();
        let (defaults, granting) = read_defaults(&mut top, &approvals, problems);
        let floor = match top.take("floor") {
            Some(node) => floor::read(node, problems),
            None => Some(Default::default()),
        };
        let break_glass = top.take("breakGlass").and_then(|node| {
            let gate = floor.as_ref().and_then(|(_, gate)| gate.as_ref());
            break_glass::read(node, gate, problems)
        });
        let clients = top.take("clients").map(|node| clients::read(node, problems));
        let roots = top.take("trustRoots");
        let trust_roots =
            roots.map(|node| trust_roots::read(node, files, problems)).unwrap_or_default();
        let rules = if is_alone {
            top.require("rules", "without a rule nothing is served", problems)
        } else {
            top.take("rules")
        };
        let nobody = Held::default();
        let (held, exception_time_max) =
            held(&mut top, rules, (defaults, (&approvals, &granting), &nobody), files, problems);
        approvals::check_signers(&named_signers, &held.signers, problems);
        let expressions = top.take("expressions");
        let expressions = expressions.map(|node| expressions::read(node, problems));
        let expressions = expressions.unwrap_or_default();
        Some(Base {
            number,
            name,
            revision,
            given,
            defaults,
            floor,
            trust_roots,
            approvals,
            granting,
            exception_time_max,
            expressions,
            break_glass: break_glass.map(Arc::new),
            clients: clients.unwrap_or_default(),
            held,
        })
    }

    fn part(
        &self,
        number: FileNumber,
        node: Node,
        base: &Base,
        files: &mut Files<'_>,
        problems: &mut Problems,
    ) -> Option<(Part, Held)> {
        let node = parts::without_base_keys(node, TOP.known, problems);
        let mut top = Fields::of(node, "", TOP, problems)?;
        fixed_word(&mut top, "apiVersion", API_VERSION, problems);
        fixed_word(&mut top, "kind", KIND, problems);
        let (mut metadata, name) = read_metadata(&mut top, problems)?;
        let part = Part::read(number, &mut metadata, (name?, self.sources), problems);
        let rules = top.take("rules");
        let named = (base.defaults, (&base.approvals, &base.granting), &base.held);
        let (mut its, _) = held(&mut top, rules, named, files, problems);
        its.belong_to(number);
        let part = part?;
        for read in &its.rules {
            let key = format!("rules[{}].match", read.rule.index);
            part.holds(read.rule.patterns.iter().map(placed), &key, problems);
        }
        for read in &its.overlays {
            let key = format!("overlays[{}].match", read.index);
            part.holds(read.overlay.patterns.iter().map(placed), &key, problems);
            part.asks_nobody(read, problems);
        }
        for exception in &its.exceptions {
            let at = (&exception.images, exception.position);
            part.holds([at], &format!("exceptions.{}.match", exception.id), problems);
        }
        Some((part, its))
    }

    /// What only shows when all files are seen.
    fn check(&self, base: &Base, read: &[Part], problems: &mut Problems) {
        let names = Names(self.sources);
        let held = &base.held;
        let of = |number| held.rules.iter().filter(move |it| it.rule.file == number);
        let own: Vec<&ReadRule> = of(base.number).collect();
        parts::apart((base.number, base.name.as_deref()), read, names, problems);
        for part in read {
            part.is_given(base.given.as_ref(), problems);
            parts::tightens(of(part.number), base.defaults, problems);
            part.yields(of(part.number), &own, base.given.as_ref(), problems);
        }
        check::names(held.signers.iter().map(|it| (it.name(), it.position())), names, problems);
        check::names(held.gates.iter().map(Gate::named), names, problems);
        check::signers(&held.signers, problems);
        check::roots(&held.signers, &base.trust_roots, problems);
        check::ids(&held.rules, &held.overlays, names, problems);
        check::exceptions(&held.exceptions, names, problems);
        check::ties(&held.rules, names, problems);
        let on_error = held.rules.iter().map(|read| read.rule.on_error);
        base.defaults.errors.unused(on_error, problems);
        check::counts(&held.rules, &held.overlays, problems);
        if held.rules.is_empty() && problems.0.is_empty() {
            let text = "is missing in every file; without a rule nothing is served";
            problems.add(Position::start_of(base.number), "rules", text);
        }
    }

    fn assemble(&self, base: Base, read: Vec<Part>, id: PolicyId) -> Option<Policy> {
        let (floor, gate) = base.floor?;
        let mut held = base.held;
        for read in held.rules.iter_mut().filter(|read| read.rule.trust != Trust::Deny) {
            read.rule.gates.extend(gate.clone());
        }
        let path = super::path_of(self.sources, base.number).to_owned();
        let (name, revision) = (base.name?, base.revision?);
        let file = PolicyFile { path, name: name.clone(), revision: Some(revision), part: None };
        let mut files = vec![(base.number, file)];
        files.extend(read.into_iter().map(|part| (part.number, part.file)));
        files.sort_by_key(|(number, _)| *number);
        Some(Policy {
            name,
            revision,
            id,
            files: files.into_iter().map(|(_, file)| file).collect(),
            mode: base.defaults.mode,
            tag_move: base.defaults.tag_move,
            floor,
            trust_roots: base.trust_roots,
            signers: held.signers,
            exceptions: held.exceptions,
            exception_time_max: base.exception_time_max,
            rules: held.rules.into_iter().map(|read| read.rule).collect(),
            overlays: held.overlays.into_iter().map(|read| read.overlay).collect(),
            expressions: base.expressions,
            break_glass: base.break_glass,
            clients: base.clients,
            lately: Lately::default(),
            source: Arc::default(),
        })
    }
}

fn placed(pattern: &Located<Pattern>) -> (&Pattern, Position) {
    (&pattern.value, pattern.position)
}

/// The approval policies, and who grants exceptions where a rule does not say so.
type Granting<'a> = (&'a Approvals, &'a Option<ExceptionApproval>);

/// What stands in a file that may name what is in `common`, and the longest time of an exception.
fn held(
    top: &mut Fields,
    rules: Option<Node>,
    (defaults, (approvals, granting), common): (Defaults, Granting<'_>, &Held),
    files: &mut Files<'_>,
    problems: &mut Problems,
) -> (Held, Duration) {
    let own = top.take("signers").map(|node| signers::read(node, files, problems));
    let own = own.unwrap_or_default();
    let signers: Vec<Signer> = common.signers.iter().chain(&own).cloned().collect();
    let own_gates = top.take("gates").map(|node| gates::read(node, &signers, problems));
    let own_gates = own_gates.unwrap_or_default();
    let gates: Vec<Gate> = common.gates.iter().chain(&own_gates).cloned().collect();
    let (exceptions, exception_time_max) = gates::exceptions(top, problems);
    let named = rules::Named { gates: &gates, approvals, signers: &signers, granting };
    let rules = rules.map(|node| rules::read(node, defaults, named, problems));
    let overlays = top.take("overlays");
    let overlays = overlays.map(|node| overlays::read(node, defaults, &gates, problems));
    let held = Held {
        signers: own,
        gates: own_gates,
        exceptions,
        rules: rules.unwrap_or_default(),
        overlays: overlays.unwrap_or_default(),
    };
    held.check_names(&signers, problems);
    (held, exception_time_max)
}
