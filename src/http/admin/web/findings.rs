//! What scans found: how much of which severity, and each finding with what it would take.

use maud::{Markup, html};

use super::evidence::platform;
use super::words::{ago, count, exception_path, until};
use crate::gate::{Excepted, Silenced};
use crate::mirror::desk::dossier::{ImageFacts, Known, ScanFacts, SubjectFacts};
use crate::mirror::desk::view::{ExplainView, UnseenView};
use crate::oci::Digest;
use crate::scan::{Finding, Fix, Report, Severity};
use crate::time::Timestamp;

/// Findings that are shown of an image.
const FINDINGS_SHOWN: usize = 100;
/// Gaps, and packages without an answer, that are shown of an image.
const GAPS_SHOWN: usize = 10;

/// The severities, worst first; the last is where no record says.
const SEVERITIES: [(&str, Option<Severity>); 5] = [
    ("critical", Some(Severity::Critical)),
    ("high", Some(Severity::High)),
    ("medium", Some(Severity::Medium)),
    ("low", Some(Severity::Low)),
    ("unrated", None),
];

/// What does not count of what was found, and whether whoever looks may ask for more of that.
#[derive(Clone, Copy)]
struct Beside<'a> {
    silenced: &'a [Silenced],
    excepted: &'a [Excepted],
    /// What nobody was shown who approved it.
    unseen: &'a [UnseenView],
    /// The image, by its digest, from which an exception may be asked for.
    asks_of: Option<&'a str>,
    now: Timestamp,
}

/// What was found in all images; whoever `may_ask` is offered to ask for exceptions where it is refused.
pub(super) fn section(
    facts: &SubjectFacts,
    explained: Option<&ExplainView>,
    (now, may_ask): (Timestamp, bool),
) -> Markup {
    let image = facts.subject.to_string();
    let is_refused = explained.is_some_and(|it| it.verdict != "admit");
    let beside = Beside {
        silenced: explained.map_or(&[][..], |it| it.silenced.as_slice()),
        excepted: explained.map_or(&[][..], |it| it.excepted.as_slice()),
        unseen: explained.map_or(&[][..], |it| it.unseen.as_slice()),
        asks_of: (may_ask && is_refused).then_some(image.as_str()),
        now,
    };
    html! {
        @if !facts.images.is_empty() {
            section aria-labelledby="findings" {
                h2 #findings { "What the scan found" }
                @for image in &facts.images {
                    @if facts.images.len() > 1 { h3 { (platform(image)) } }
                    @match &image.scan {
                        Known::No(why) => { p.unknown { "Not known: " bdi { (why) } "." } }
                        Known::Is(scan) => (scanned(image, scan, beside)),
                    }
                }
            }
        }
    }
}

fn scanned(image: &ImageFacts, scan: &ScanFacts, beside: Beside<'_>) -> Markup {
    let inventory = &scan.inventory;
    html! {
        p {
            (count(inventory.packages.len(), "package"))
            @if let Some(distribution) = &inventory.distribution { " of " bdi { (distribution.pretty.as_ref().unwrap_or(&distribution.id)) } }
            "."
            @if let Some(database) = scan.database() {
                " Compared with a database as of " (ago(database.as_of, beside.now)) "."
            }
        }
        @if !inventory.gaps.is_empty() {
            p.unknown { "Not all of it could be read:" }
            ul {
                @for gap in inventory.gaps.iter().take(GAPS_SHOWN) { li { bdi { (gap) } } }
                @if inventory.gaps.len() > GAPS_SHOWN {
                    li { (count(inventory.gaps.len() - GAPS_SHOWN, "more")) }
                }
            }
        }
        @match &scan.report {
            Known::No(why) => { p.unknown { "What is known against them is not known: " bdi { (why) } "." } }
            Known::Is(report) => (reported(&image.digest, report, beside)),
        }
    }
}

fn reported(image: &Digest, report: &Report, beside: Beside<'_>) -> Markup {
    let more = report.findings.len().saturating_sub(FINDINGS_SHOWN);
    html! {
        (severities(&report.findings))
        @if !report.unmatched.is_empty() {
            details {
                summary { (count(report.unmatched.len(), "thing")) " that nothing can be said about" }
                ul { @for it in report.unmatched.iter().take(GAPS_SHOWN) { li { bdi { (it.text) } } } }
            }
        }
        @if report.findings.is_empty() { p { "Nothing is known against its packages." } }
        @else {
            div.wide tabindex="0" role="region" aria-label="Findings" {
                table.findings {
                    caption.unseen { "Findings, worst first" }
                    thead { tr {
                        th scope="col" { "Finding" } th scope="col" { "Severity" }
                        th scope="col" { "Package" } th scope="col" { "Fixed in" }
                    } }
                    tbody {
                        @for finding in report.findings.iter().take(FINDINGS_SHOWN) {
                            (row(image, finding, beside))
                        }
                    }
                }
            }
            @if more > 0 { p.quiet { (count(more, "more")) ", less bad; " code { "pratique scan" } " lists them all." } }
        }
    }
}

fn vex_for<'a>(
    image: &Digest,
    finding: &Finding,
    silenced: &'a [Silenced],
) -> Option<&'a Silenced> {
    silenced.iter().find(|it| {
        it.image == *image
            && it.vulnerability == finding.id
            && it.package == finding.package.name
            && it.version == finding.package.version
    })
}

fn exception_for<'a>(
    image: &Digest,
    finding: &Finding,
    excepted: &'a [Excepted],
) -> Option<&'a Excepted> {
    excepted.iter().find(|it| {
        it.image == *image
            && it.vulnerability == finding.id
            && it.package == finding.package.name
            && it.version == finding.package.version
    })
}

/// Where an exception from `finding` of `image` is asked for.
fn asking_path(image: &str, finding: &Finding) -> String {
    let package = finding.package.name.as_str();
    let query = [("image", image), ("vulnerability", &finding.id), ("package", package)];
    format!("/exceptions/new?{}", serde_urlencoded::to_string(query).unwrap_or_default())
}

/// What takes `finding` out, or where that is asked for.
fn exception(image: &Digest, finding: &Finding, beside: Beside<'_>) -> Markup {
    html! {
        @if let Some(one) = exception_for(image, finding, beside.excepted) {
            span.waived {
                "does not count until " (until(one.until, beside.now)) ": "
                @if one.by.is_empty() { "exception " bdi { (one.exception) } " of the policy" }
                @else {
                    a href=(exception_path(&one.exception)) { (one.exception) } ", granted by "
                    bdi { (one.by.join(", ")) }
                }
            }
        } @else if let Some(of) = beside.asks_of.filter(|_| !finding.malware) {
            span.quiet { a href=(asking_path(of, finding)) { "Ask for an exception…" } }
        }
    }
}

fn is_unseen(finding: &Finding, unseen: &[UnseenView]) -> bool {
    let name = format!("{} {}", finding.id, finding.package.name);
    unseen.iter().any(|it| it.finding == name)
}

/// A finding as a row of a table.
fn row(image: &Digest, finding: &Finding, beside: Beside<'_>) -> Markup {
    let silenced = vex_for(image, finding, beside.silenced);
    html! {
        tr {
            th scope="row" {
                bdi { (finding.id) }
                @if finding.malware { " " strong { "malware" } }
                @if finding.exploited { " " strong { "exploited" } }
                @if is_unseen(finding, beside.unseen) { " " strong { "found since it was approved" } }
                @if finding.kernel_headers { span.quiet { "of the kernel; these are its headers only" } }
                @if let Some(silenced) = silenced {
                    span.waived { "does not count: " bdi { (silenced.by) } " says " (silenced.status)
                        @if let Some(why) = &silenced.why { ", " bdi { (why) } } }
                } @else { (exception(image, finding, beside)) }
            }
            td { (severity(finding)) }
            td { bdi { (finding.package.name) } " " bdi { (finding.package.version) } }
            td data-label="Fixed in" {
                @match &finding.fix {
                    Fix::In(version) => { bdi { (version) } }
                    Fix::None => { span.quiet { "not yet" } }
                    Fix::WillNot => { span.quiet { "will not be fixed" } }
                }
            }
        }
    }
}

/// A finding in a list.
pub(super) fn item(finding: &Finding) -> Markup {
    html! {
        li {
            (severity(finding)) " " bdi { (finding.id) } " in " bdi { (finding.package.name) } " "
            bdi { (finding.package.version) }
            @match &finding.fix {
                Fix::In(version) => { span.quiet { ", fixed in " bdi { (version) } } }
                Fix::None => {}
                Fix::WillNot => { span.quiet { ", will not be fixed" } }
            }
        }
    }
}

fn severity(finding: &Finding) -> Markup {
    let word = word(finding);
    html! {
        span.severity.(word) { (word) }
        @if let Some(score) = finding.score { span.quiet { " " (score / 10) "." (score % 10) } }
    }
}

fn word(finding: &Finding) -> &'static str {
    let severity = finding.severity.map(|it| if it == Severity::None { Severity::Low } else { it });
    SEVERITIES.iter().find(|(_, it)| *it == severity).map_or("unrated", |(word, _)| word)
}

fn severities(findings: &[Finding]) -> Markup {
    html! {
        ul.counts {
            @for (word, _) in SEVERITIES {
                @let number = findings.iter().filter(|it| self::word(it) == word).count();
                li.severity.(word) data-none[number == 0] { strong { (number) } " " (word) }
            }
        }
    }
}
