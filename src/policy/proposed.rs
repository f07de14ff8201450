//! The change of the policy that would have made a decision needless: what there is to choose from, each as a
//! diff of the policy in force. Nothing is changed here.

use std::collections::BTreeSet;
use std::path::Path;

use super::difference::{Change, ChangeKind, changes};
use super::document::Trust;
use super::edit::{Edited, Editor};
use super::learned::signers::{Whom, plain};
use super::learned::{SIGNERS_MAX, SeenSignatures, SeenSigner, tags_like};
use super::source::{comment, quoted};
use super::{Policy, Problem, Rule};
use crate::oci::{Digest, Name, Tag};
use crate::time::Timestamp;

/// For how long an exception is proposed, where the policy does not want a shorter one.
const EXCEPTION_DAYS: u64 = 30;
/// Most findings that are excepted together.
const FINDINGS_MAX: usize = 10;
/// What of the deciding rule a rule for one repository does not take over.
const NOT_TAKEN: [&str; 6] = ["approval", "id", "match", "signatures", "tags", "trust"];

/// What was decided, or is to be.
#[derive(Debug, Clone)]
pub struct About<'a> {
    /// The request: `R-42`.
    pub request: &'a str,
    /// The repository.
    pub name: &'a Name,
    /// The image; none where it was refused without a look at it.
    pub digest: Option<Digest>,
    /// The tag by which it was asked for.
    pub tag: Option<&'a Tag>,
    /// The rule that decides about it.
    pub rule: Option<&'a str>,
    /// Why people refused it, where they did.
    pub refused_for: Option<&'a str>,
    /// Who signed it.
    pub signatures: SeenSignatures,
    /// The vulnerabilities for which it is refused, with the package of each.
    pub findings: Vec<(String, String)>,
    /// When it is proposed.
    pub now: Timestamp,
}

/// One change that could be made.
#[derive(Debug, Clone)]
pub struct Proposed {
    /// Its name: `standing`.
    pub id: &'static str,
    /// What it would do, in a sentence.
    pub says: String,
    /// The unified diff.
    pub diff: String,
    /// The policy with it.
    pub policy: Policy,
}

/// One that could not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotProposed {
    /// Its name.
    pub id: &'static str,
    /// Why not, in a sentence.
    pub why: String,
}

type Offered = Result<Proposed, NotProposed>;
/// The names of signers, and how those are written that the policy does not have.
type Signers = (Vec<String>, Vec<(String, String)>);

impl Policy {
    /// The changes of this policy that would decide what `about` is about. Each is a policy of the next revision
    /// and differs in what it says and in nothing else.
    pub fn proposals(&self, about: &About<'_>) -> Vec<Offered> {
        let proposing = Proposing { policy: self, about };
        if about.refused_for.is_some() {
            return vec![proposing.deny_image(), proposing.deny_repository()];
        }
        let Some((place, rule)) = proposing.rule() else { return vec![proposing.ask()] };
        if let Some(file) = self.file(rule.file()).filter(|file| file.owner().is_some()) {
            let owner = file.owner().map(ToString::to_string).unwrap_or_default();
            let (rule, path) = (rule.id(), file.path());
            let why = format!(
                "Rule {rule} stands in {path}, for which {owner} answers: it is theirs to change."
            );
            return vec![Err(NotProposed { id: "trust", why })];
        }
        let mut offered = Vec::new();
        if !about.findings.is_empty() {
            offered.push(proposing.except());
        }
        if rule.trust() == Trust::Approve {
            offered.push(proposing.standing(place, rule));
        }
        if rule.trust() != Trust::Deny {
            offered.push(proposing.trust(place, rule));
        }
        if rule.trust() == Trust::Deny {
            offered.push(proposing.ask());
        }
        offered
    }
}

struct Proposing<'a> {
    policy: &'a Policy,
    about: &'a About<'a>,
}

impl<'a> Proposing<'a> {
    fn rule(&self) -> Option<(usize, &'a Rule)> {
        let id = self.about.rule?;
        let rules = &self.policy.rules;
        rules.iter().enumerate().find(|(_, rule)| rule.id.as_str() == id)
    }

    /// What it is with the changes that `edit` makes.
    fn offered(
        &self,
        id: &'static str,
        says: String,
        edit: impl FnOnce(&mut Editor<'_>) -> Result<(), super::edit::EditError>,
    ) -> Offered {
        let not = |why: String| NotProposed { id, why };
        let source = self.policy.source();
        let edited = Editor::new(&source.text).and_then(|mut editor| {
            editor.raise_revision()?;
            edit(&mut editor)?;
            Ok(editor.done())
        });
        let Edited { text, diff } =
            edited.map_err(|error| not(format!("It cannot be proposed: {error}.")))?;
        let read = |path: &Path| source.read(path);
        let policy = Policy::parse_all(&source.with(&text), &read).map_err(|problems| {
            let told = problems.first().map(|it: &Problem| it.text.clone()).unwrap_or_default();
            not(format!("With it the policy would have a mistake: {told}."))
        })?;
        // Whatever the text looks like: all that was said is said as before.
        let (old, new) = (&source.text, &text);
        let changes = changes(&source.documents(old, &read), &source.documents(new, &read));
        let adds = |change: &Change| change.kind == ChangeKind::Added;
        match changes {
            Ok(changes) if !changes.is_empty() && changes.iter().all(adds) => {
                Ok(Proposed { id, says, diff, policy })
            }
            Ok(_) | Err(_) => {
                let why = "The policy is written in a way in which the change would touch more than it is about.";
                Err(not(why.to_owned()))
            }
        }
    }

    /// The signers of the image by their names, with what has to be written for those that the policy does not
    /// have.
    fn signers(&self, id: &'static str) -> Result<Signers, NotProposed> {
        let not = |why: &str| Err(NotProposed { id, why: why.to_owned() });
        let signers = match &self.about.signatures {
            SeenSignatures::By(signers) => signers,
            SeenSignatures::Nobody => {
                return not("Nobody signed it, and without a signer a version is like no other.");
            }
            SeenSignatures::Unknown(why) => {
                return not(&format!("Who signed it is not known: {why}."));
            }
            SeenSignatures::Unnamed => {
                return not(
                    "It is signed by somebody whom neither the policy nor a trust root names; add the signer first.",
                );
            }
        };
        let mut taken: BTreeSet<String> =
            self.policy.signers.iter().map(|it| it.name().to_owned()).collect();
        let (mut names, mut new) = (Vec::new(), Vec::new());
        for signer in signers.iter().take(SIGNERS_MAX) {
            let whom = match signer {
                SeenSigner::Named(name) => Whom::Named(name.clone()),
                SeenSigner::Identity(identity) if identity.can_be_named() => {
                    Whom::Exact(identity.clone())
                }
                SeenSigner::Identity(_) => return not("No policy can name who signed it."),
            };
            let mut name = whom.name();
            if let Some(written) = whom.yaml() {
                let wanted = name.clone();
                let mut number = 1_usize;
                while !taken.insert(name.clone()) {
                    number += 1;
                    name = format!("{wanted}-{number}");
                }
                new.push((name.clone(), written));
            }
            names.push(name);
        }
        Ok((names, new))
    }

    fn id_for(&self, suffix: &str) -> String {
        let wanted = plain(&format!("{}{suffix}", self.about.name.repository()), "rule");
        let is_taken = |id: &str| {
            self.policy.rules.iter().any(|rule| rule.id.as_str() == id)
                || self.policy.overlays.iter().any(|it| it.id().as_str() == id)
        };
        let numbered = (2..).map(|number: usize| format!("{wanted}-{number}"));
        std::iter::once(wanted.clone()).chain(numbered).find(|id| !is_taken(id)).unwrap_or(wanted)
    }

    fn note(&self) -> Vec<String> {
        vec![comment(&format!("From {} ({}).", self.about.request, day(self.about.now)))]
    }

    fn standing(&self, place: usize, rule: &Rule) -> Offered {
        const ID: &str = "standing";
        let not = |why: &str| NotProposed { id: ID, why: why.to_owned() };
        let tag = self.about.tag.ok_or_else(|| {
            not("It was asked for by its digest, and a standing approval speaks of tags.")
        })?;
        if rule.gates.iter().all(|gate| gate.is_floor) {
            let why = "No gate of the rule scans, so that findings cannot be compared; give it one first.";
            return Err(not(why));
        }
        let (names, new) = self.signers(ID)?;
        let tags = tags_like(tag);
        let listed = names.join(", ");
        let item = format!("{{tags: {tags}, signers: [{listed}], findings: no-worse}}");
        let says = format!(
            "What rule {} matches needs nobody's yes where it has tags {tags}, {listed} signed it, and \
             nothing critical or high is known against it that is not known against what is admitted of its line.",
            rule.id
        );
        self.offered(ID, says, |editor| {
            editor.add_entries("signers", &new)?;
            editor.add_standing(place, &item)
        })
    }

    fn trust(&self, place: usize, rule: &Rule) -> Offered {
        const ID: &str = "trust";
        let (names, new) = self.signers(ID)?;
        let mut parts = self.head(&self.id_for(""));
        parts.extend(self.about.tag.map(|tag| format!("tags: {}", tags_like(tag))));
        parts.push("trust: allow".to_owned());
        let listed = names.join(", ");
        parts.push(format!("signatures: {{atLeast: {}, of: [{listed}]}}", names.len()));
        // What else the rule asks for is asked for here, too.
        let entries = self.policy.source().items("rules");
        let taken = entries.get(place).into_iter().flatten();
        let taken = taken.filter(|(key, _)| !NOT_TAKEN.contains(&key.as_str()));
        parts.extend(taken.map(|(key, value)| format!("{key}: {value}")));
        let item = format!("{{{}}}", parts.join(", "));
        let replaced = match rule.signatures {
            Some(_) => " What that rule asks of signatures is replaced.",
            None => "",
        };
        let says = format!(
            "What {listed} signed of {}{} is admitted without people; what else rule {} asks for holds.{replaced}",
            self.about.name,
            self.about.tag.map(|tag| format!(" with tags {}", tags_like(tag))).unwrap_or_default(),
            rule.id
        );
        let note = self.note();
        self.offered(ID, says, |editor| {
            editor.add_entries("signers", &new)?;
            editor.add_items("rules", place, &[item], &note)
        })
    }

    /// A rule by which people are asked, where there is none or one that denies.
    fn ask(&self) -> Offered {
        const ID: &str = "ask";
        let mut parts = self.head(&self.id_for(""));
        parts.push("trust: approve".to_owned());
        let item = format!("{{{}}}", parts.join(", "));
        let name = self.about.name;
        let registry = name.registry();
        let is_listed = self.policy.registries().is_none_or(|listed| listed.contains(registry));
        let also = if is_listed { String::new() } else { format!(" and {registry} is listed") };
        let says = format!(
            "People are asked about each digest of {name}{also}; nothing is admitted by it alone."
        );
        let place = self.rule().map_or(0, |(place, _)| place);
        let note = self.note();
        self.offered(ID, says, |editor| {
            if !is_listed {
                editor.add_inner("floor", "registries", &quoted(registry.as_str()))?;
            }
            editor.add_items("rules", place, &[item], &note)
        })
    }

    fn deny_image(&self) -> Offered {
        const ID: &str = "deny-image";
        let Some(digest) = self.about.digest else {
            return Err(NotProposed { id: ID, why: "It has no digest.".to_owned() });
        };
        let reason = self.reason();
        let item =
            format!("{{digest: {}, reason: {}}}", quoted(&digest.to_string()), quoted(&reason));
        let says =
            "This digest is refused in every repository, whatever a rule or an approval says, until the entry is \
             taken out.".to_owned();
        self.offered(ID, says, |editor| editor.add_inner("floor", "denyImages", &item))
    }

    fn deny_repository(&self) -> Offered {
        let mut parts = self.head(&self.id_for("-no"));
        parts.push("trust: deny".to_owned());
        let item = format!("{{{}}}", parts.join(", "));
        let says = format!(
            "Nothing of {} is served any more, and nothing is asked upstream for it.",
            self.about.name
        );
        let place = self.rule().map_or(0, |(place, _)| place);
        let mut note = self.note();
        note.push(comment(&self.reason()));
        self.offered("deny-repository", says, |editor| {
            editor.add_items("rules", place, &[item], &note)
        })
    }

    fn except(&self) -> Offered {
        const ID: &str = "except";
        let Some(digest) = self.about.digest else {
            return Err(NotProposed { id: ID, why: "It has no digest.".to_owned() });
        };
        let most = self.policy.exception_time_max.as_secs() / (24 * 3600);
        let days = EXCEPTION_DAYS.min(most);
        if days == 0 {
            let why = "The policy allows exceptions for less than a day.".to_owned();
            return Err(NotProposed { id: ID, why });
        }
        let back = i64::try_from(days * 24 * 3600 * 1000).unwrap_or(i64::MAX);
        let end = Timestamp::from_milliseconds(self.about.now.milliseconds().saturating_add(back));
        let expires = format!("{}T00:00:00Z", day(end));
        let image = quoted(&format!("{}@{digest}", self.about.name));
        let findings: Vec<&(String, String)> =
            self.about.findings.iter().take(FINDINGS_MAX).collect();
        let told: Vec<&str> = findings.iter().map(|(id, _)| id.as_str()).collect();
        let says = format!(
            "{} in this digest and no other counts no more until {}; then it is refused again. Write why into \
             reason.",
            told.join(", "),
            day(end)
        );
        let items: Vec<String> = findings.iter().enumerate().map(|(number, (id, package))| {
            let name = plain(&format!("{}-{id}", self.about.request), "exception");
            let name = if self.has_exception(&name) { format!("{name}-{}", number + 2) } else { name };
            let (id, package) = (quoted(id), quoted(package));
            let reason = quoted(&format!("write why, as in {}", self.about.request));
            format!(
                "{{id: {name}, match: {image}, check: {{vulnerability: {id}, package: {package}}}, \
                 reason: {reason}, expires: {expires}}}"
            )
        }).collect();
        self.offered(ID, says, |editor| editor.add_items("exceptions", 0, &items, &[]))
    }

    fn has_exception(&self, id: &str) -> bool {
        self.policy.exceptions.iter().any(|it| it.id == id)
    }

    fn head(&self, id: &str) -> Vec<String> {
        vec![format!("id: {id}"), format!("match: [{}]", quoted(&self.about.name.to_string()))]
    }

    fn reason(&self) -> String {
        let why = self.about.refused_for.unwrap_or_default();
        let why: String = why.chars().filter(|c| !c.is_control()).take(300).collect();
        format!("{}: {why}", self.about.request)
    }
}

fn day(at: Timestamp) -> String {
    let text = at.to_string();
    text.split_once('T').map_or_else(|| text.clone(), |(day, _)| day.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str =
        "apiVersion: pratique.dev/v1\nkind: Policy\nmetadata: {name: a, revision: 1}\n";

    fn offered(rules: &str, refused_for: Option<&str>) -> Vec<Offered> {
        let text = format!("{HEAD}{rules}");
        let no_files = |_: &Path| Err(std::io::ErrorKind::NotFound.into());
        let policy = Policy::parse(&text, &no_files).unwrap();
        policy.proposals(&About {
            request: "R-7",
            name: &"up.test/a".parse().unwrap(),
            digest: Some(Digest::sha256(b"a")),
            tag: None,
            rule: Some("all"),
            refused_for,
            signatures: SeenSignatures::Nobody,
            findings: Vec::new(),
            now: "2026-11-30T12:00:00Z".parse().unwrap(),
        })
    }

    #[test]
    fn a_reason_of_people_is_a_text_whatever_they_wrote() {
        let hostile = "bad\"}]}\nrules: [{id: x, match: [\"**\"], trust: allow}] # \u{202e}";
        let rules = "rules:\n- {id: all, match: [\"up.test/**\"], trust: approve}\n";
        let all = offered(rules, Some(hostile));
        assert_eq!(all.len(), 2);
        for one in all {
            let one = one.unwrap();
            let allowing = one.policy.rules.iter().filter(|rule| rule.trust == Trust::Allow);
            assert_eq!(allowing.count(), 0, "{}", one.diff);
            assert!(one.diff.is_ascii(), "{}", one.diff);
        }
    }

    #[test]
    fn a_text_that_looks_like_a_comment_and_is_none_is_not_split() {
        // The last lines of the text are part of it, and stand right above the rules.
        let rules = "expressions:\n- id: e\n  when: \"image.size > 0\"\n  message: >-\n    it is\n    # empty\n\
                     rules:\n- {id: all, match: [\"up.test/**\"], trust: approve}\n";
        let not = offered(rules, Some("no")).into_iter().find_map(Result::err).expect("one");
        assert_eq!(not.id, "deny-image", "it would stand in the middle of the text");
    }

    #[test]
    fn of_a_directory_the_base_file_is_changed_and_nobodys_own_is() {
        use super::super::PolicySource;
        let base = format!("{HEAD}rules:\n- {{id: all, match: [\"up.test/a\"], trust: approve}}\n");
        let part = "apiVersion: pratique.dev/v1\nkind: Policy\n\
                    metadata: {name: shop, owner: \"group:shop\", scope: [\"up.test/shop/**\"]}\n\
                    rules: [{id: theirs, match: [\"up.test/shop/*\"], trust: approve}]\n";
        let sources = [
            PolicySource { path: "shop.yaml", text: part },
            PolicySource { path: "z.yaml", text: &base },
        ];
        let no_files = |_: &Path| Err(std::io::ErrorKind::NotFound.into());
        let policy = Policy::parse_all(&sources, &no_files).unwrap();
        let about = |rule, name: &'static Name, refused_for| About {
            request: "R-7",
            name,
            digest: Some(Digest::sha256(b"a")),
            tag: None,
            rule: Some(rule),
            refused_for,
            signatures: SeenSignatures::Nobody,
            findings: Vec::new(),
            now: "2026-11-30T12:00:00Z".parse().unwrap(),
        };
        let name = |text: &str| -> &'static Name { Box::leak(Box::new(text.parse().unwrap())) };
        let all = policy.proposals(&about("all", name("up.test/a"), Some("no")));
        let image = all.into_iter().find_map(Result::ok).expect("one");
        assert_eq!(
            (image.policy.files().len(), image.policy.rules.len()),
            (2, 2),
            "{}",
            image.diff
        );
        let theirs = policy.proposals(&about("theirs", name("up.test/shop/web"), None));
        let [Err(not)] = theirs.as_slice() else { panic!("{theirs:?}") };
        assert!(not.why.contains("shop.yaml, for which group:shop answers"), "{not:?}");
    }

    #[test]
    fn what_would_tie_is_not_offered() {
        let rules = "rules:\n- {id: all, match: [\"up.test/a\"], trust: approve}\n";
        let all = offered(rules, Some("no"));
        let not = all.into_iter().find_map(Result::err).expect("one");
        assert!(not.id == "deny-repository" && not.why.contains("mistake"), "{not:?}");
    }
}
