//! `policy explain`: which rule applies to an image and why, by the policy alone.

use std::path::PathBuf;

use serde::Serialize;

use super::{CliError, Exit, load, output};
use crate::cli::admin::printable;
use crate::gate::{ReadyPolicy, refuse_by_name};
use crate::oci::{ImageReference, Reference, Tag};
use crate::policy::{Artifact, Asked, Signer};
use crate::time::{Clock as _, SystemClock};

pub(super) const EXAMPLES: &str = "\
Examples:
  pratique policy explain policy.yaml ghcr.io/acme/app:1.4
  pratique policy explain policy.yaml docker.io/library/redis@sha256:...
  pratique policy explain --artifact-type chart policy.yaml ghcr.io/acme/charts/app:1.0.0

Nothing is asked for and nothing is looked at but the policy: which rules match, why one of them comes
first, and what it asks for. What becomes of a real image is for pratique verify to say, or for
pratique explain where a mirror runs.

Exit codes: 0 explained, 3 what the policy refuses by name alone, 64 wrong use or mistakes, 2 not
readable.";

/// What is to be explained.
#[derive(Debug, clap::Args)]
pub(crate) struct ExplainArguments {
    /// The policy file, or the directory
    policy: PathBuf,
    /// The image, as it is asked for
    image: String,
    /// What kind of artifact it is, where it is no image: chart, or an artifact type
    #[arg(long, value_name = "TYPE")]
    artifact_type: Option<String>,
    /// Another tag that was seen to stand for it; may be repeated
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
}

/// What the policy says about an image.
#[derive(Debug, Serialize)]
struct View {
    image: String,
    policy: String,
    revision: u64,
    /// Why it is refused by its name or tag alone, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    /// What the floor says of it.
    floor: Vec<Asked>,
    /// The rule that applies, if one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    /// Every rule that matches, most specific first.
    matching: Vec<MatchView>,
    /// What the rule that applies asks for.
    asks: Vec<Asked>,
    /// The overlays that match, each with what it asks for on top of that.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    overlays: Vec<OverlayView>,
    /// What must hold of it, asked last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    expressions: Vec<Asked>,
    /// Who may have it served in an emergency, if anybody may.
    #[serde(skip_serializing_if = "Option::is_none")]
    break_glass: Option<String>,
    /// The signers that it names.
    signers: Vec<SignerView>,
}

/// A rule that matches.
#[derive(Debug, Serialize)]
struct MatchView {
    rule: String,
    pattern: String,
    /// The file that has it, where the policy is a directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    /// Who answers for that file, where it has a scope.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    line: usize,
    /// Whether it is the one that applies.
    applies: bool,
    /// Why it does not apply.
    #[serde(skip_serializing_if = "Option::is_none")]
    why_not: Option<String>,
    /// Why it comes behind the one before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    behind: Option<String>,
}

/// An overlay that matches; a condition that it may have is asked of a real image only.
#[derive(Debug, Serialize)]
struct OverlayView {
    overlay: String,
    asks: Vec<Asked>,
}

/// A signer, in words.
#[derive(Debug, Serialize)]
struct SignerView {
    name: String,
    who: String,
}

/// Explains and gives the code.
///
/// # Errors
/// When the policy or the arguments cannot be used.
pub(super) fn run(arguments: &ExplainArguments, json: bool) -> Result<Exit, CliError> {
    let policy = load(&arguments.policy, json)?;
    let wrong = |text: &str| CliError::misused(format!("{text:?} is not an image"));
    let text = arguments.image.trim();
    let image: ImageReference = text.parse().map_err(|error| wrong(text).caused_by(error))?;
    let mut tags = Vec::new();
    for text in &arguments.tags {
        let wrong = |error| CliError::misused(format!("{text:?} is not a tag")).caused_by(error);
        tags.push(text.parse::<Tag>().map_err(wrong)?);
    }
    let view = view(&policy, &image, tags, arguments.artifact_type.as_deref());
    if json {
        output::print_json(&view)?;
    } else {
        output::print(&render(&view))?;
    }
    Ok(if view.refused.is_some() || view.rule.is_none() { Exit::Refused } else { Exit::Done })
}

/// The artifact type of Helm charts, for which people may say `chart`.
const CHART: &str = "application/vnd.cncf.helm.config.v1+json";

fn view(
    policy: &ReadyPolicy,
    image: &ImageReference,
    mut tags: Vec<Tag>,
    artifact_type: Option<&str>,
) -> View {
    let asked_by = match image.reference() {
        Reference::Tag(tag) => Some(tag),
        Reference::Digest(_) => None,
    };
    tags.extend(asked_by.clone().or_else(|| image.tag.clone()));
    let artifact_type = artifact_type.filter(|text| *text != "image");
    let artifact_type = artifact_type.map(|text| if text == "chart" { CHART } else { text });
    let artifact = Artifact::from(artifact_type);
    let refused = refuse_by_name(policy, &image.name, asked_by.as_ref(), SystemClock.now());
    let refused = refused.and_then(|it| it.reasons().first().map(|reason| reason.text.clone()));
    let demands = policy.demands(&image.name, artifact, &tags);
    let rule = demands.rule();
    let matching = policy.matching(&image.name).into_iter().map(|it| MatchView {
        rule: it.rule.id().to_string(),
        pattern: it.pattern.to_string(),
        file: policy.told_file(it.rule.file()).map(|file| file.path().to_owned()),
        owner: policy.owner_of(it.rule).map(ToString::to_string),
        line: it.line,
        applies: rule.is_some_and(|rule| rule.id() == it.rule.id()),
        why_not: it.rule.misses(artifact, &tags),
        behind: it.behind,
    });
    let asks = rule.map(crate::policy::Rule::asks).unwrap_or_default();
    let names = demands.signer_names();
    let overlays = demands
        .overlays()
        .iter()
        .map(|overlay| OverlayView { overlay: overlay.id().to_string(), asks: overlay.asks() });
    let signers = policy.signers().iter().filter(|signer| names.contains(signer.name()));
    let expressions = demands.expressions().iter().map(|it| Asked {
        key: it.id().to_string(),
        text: format!("{}, or else: {}", it.when().text(), it.message()),
    });
    View {
        image: image.to_string(),
        policy: policy.name().to_owned(),
        revision: policy.revision(),
        refused,
        floor: floor(policy, image, asked_by.as_ref()),
        rule: rule.map(|rule| rule.id().to_string()),
        matching: matching.collect(),
        asks,
        overlays: overlays.collect(),
        expressions: expressions.collect(),
        break_glass: policy
            .break_glass()
            .filter(|allowed| allowed.covers(&image.name))
            .map(ToString::to_string),
        signers: signers.map(signer_view).collect(),
    }
}

fn signer_view(signer: &Signer) -> SignerView {
    SignerView { name: signer.name().to_owned(), who: signer.described() }
}

/// What the floor says of `image`, as far as its name says it.
fn floor(policy: &ReadyPolicy, image: &ImageReference, tag: Option<&Tag>) -> Vec<Asked> {
    let registry = image.name.registry();
    let listed = match policy.registries() {
        None => "every registry that a rule matches is listed".to_owned(),
        Some(all) if all.contains(registry) => format!("{registry} is listed"),
        Some(_) => format!("{registry} is NOT listed"),
    };
    let mut said = vec![("floor.registries", listed)];
    if let Some(tag) = tag {
        let text = if policy.refuses_tag(tag) {
            format!("tag {tag} is FORBIDDEN; by digest it may be asked for")
        } else {
            format!("tag {tag} is not forbidden")
        };
        said.push(("floor.forbidTags", text));
    }
    if let Some(digest) = &image.digest {
        let text = match policy.denied_image(digest) {
            Some(why) => format!("the digest is DENIED: {why}"),
            None => "the digest is not denied".to_owned(),
        };
        said.push(("floor.denyImages", text));
    }
    let platforms: Vec<String> = policy.platforms().iter().map(ToString::to_string).collect();
    let platforms = if platforms.is_empty() { "all".to_owned() } else { platforms.join(", ") };
    said.push(("floor.platforms", platforms));
    said.into_iter().map(|(key, text)| Asked { key: key.to_owned(), text }).collect()
}

fn render(view: &View) -> String {
    let mut lines = vec![
        format!("image    {}", view.image),
        format!("policy   {}, revision {}", view.policy, view.revision),
    ];
    if let Some(refused) = &view.refused {
        lines.push(format!("refused  {refused}"));
    }
    lines.push("floor".to_owned());
    lines.extend(asked(&view.floor));
    let rule = view.rule.as_deref().unwrap_or("none applies");
    lines.push(format!("rule     {rule}"));
    for it in &view.matching {
        let sign = if it.applies { "->" } else { "  " };
        let file = it.file.as_ref().map(|file| format!("{file} ")).unwrap_or_default();
        let owner = it.owner.as_ref().map(|owner| format!(" of {owner}")).unwrap_or_default();
        let mut text =
            format!("  {sign} {}{owner}  {} ({file}line {})", it.rule, it.pattern, it.line);
        if let Some(why) = &it.why_not {
            text = format!("{text}; does not apply: {why}");
        }
        if let Some(behind) = &it.behind {
            text = format!("{text}; comes next: {behind}");
        }
        lines.push(text);
    }
    if !view.asks.is_empty() {
        lines.push("asks".to_owned());
        lines.extend(asked(&view.asks));
    }
    for overlay in &view.overlays {
        lines.push(format!("overlay  {}", overlay.overlay));
        lines.extend(asked(&overlay.asks));
    }
    if !view.expressions.is_empty() {
        lines.push("expressions".to_owned());
        lines.extend(asked(&view.expressions));
    }
    if let Some(break_glass) = &view.break_glass {
        lines.push("breakGlass".to_owned());
        lines.push(format!("     {break_glass}"));
    }
    if !view.signers.is_empty() {
        lines.push("signers".to_owned());
        let signers = view.signers.iter();
        lines.extend(signers.map(|it| format!("     {:<18} {}", it.name, it.who)));
    }
    let lines: Vec<String> = lines.iter().map(|line| printable(line)).collect();
    lines.join("\n")
}

fn asked(asked: &[Asked]) -> impl Iterator<Item = String> {
    asked.iter().map(|it| format!("     {:<18} {}", it.key, it.text))
}
