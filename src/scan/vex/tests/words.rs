//! What the last word is.

use std::sync::Arc;

use super::super::{Document, Image, Product, Said, Statement, Status};
use super::{at, debian, digest, finding, openssl, status, word};
use crate::scan::vex::Component;

fn statement(status: Status, made: Option<&str>) -> Statement {
    Statement {
        vulnerability: vec!["CVE-2026-1".to_owned()],
        status,
        justification: None,
        impact: None,
        action: None,
        products: None,
        at: made.map(at),
    }
}

fn document(id: Option<&str>, version: u64, statements: &[Statement]) -> Document {
    let id = id.map(str::to_owned);
    Document { id, version, statements: statements.to_vec(), problems: Vec::new() }
}

fn decided(documents: &[Document]) -> Option<Status> {
    status(word(documents, &finding("CVE-2026-1", openssl()), &[openssl()]))
}

const OLD: Option<&str> = Some("2026-01-01T00:00:00Z");
const NEW: Option<&str> = Some("2026-01-02T00:00:00Z");

#[test]
fn the_last_by_its_own_time_decides_and_of_two_at_once_the_worse() {
    use Status::{Affected, Fixed, NotAffected, UnderInvestigation, Unknown};
    for (one, other, expected) in [
        ((NotAffected, OLD), (Affected, NEW), Affected),
        ((NotAffected, NEW), (Affected, OLD), NotAffected),
        ((Fixed, NEW), (UnderInvestigation, OLD), Fixed),
        ((NotAffected, OLD), (Affected, OLD), Affected),
        ((NotAffected, OLD), (UnderInvestigation, OLD), UnderInvestigation),
        ((NotAffected, OLD), (Unknown, NEW), Unknown),
        ((NotAffected, NEW), (Affected, None), Affected),
        ((NotAffected, None), (Affected, OLD), Affected),
        ((NotAffected, None), (Fixed, OLD), Fixed),
    ] {
        let [one, other] = [one, other].map(|(status, made)| statement(status, made));
        for pair in [[&one, &other], [&other, &one]] {
            let [a, b] = pair.map(Statement::clone);
            let together = document(None, 1, &[a.clone(), b.clone()]);
            assert_eq!(decided(&[together]), Some(expected), "{one:?} {other:?}");
            let apart = [document(None, 1, &[a]), document(None, 1, &[b])];
            assert_eq!(decided(&apart), Some(expected), "{one:?} {other:?}");
        }
    }
}

#[test]
fn a_later_version_replaces_the_document() {
    let clear = document(Some("d"), 1, &[statement(Status::NotAffected, NEW)]);
    // It was taken back, and nothing else is said.
    let empty = document(Some("d"), 2, &[]);
    for pair in [[clear.clone(), empty.clone()], [empty.clone(), clear.clone()]] {
        assert_eq!(decided(&pair), None);
    }
    let other = Document { id: Some("e".to_owned()), ..empty.clone() };
    assert_eq!(decided(&[clear.clone(), other]), Some(Status::NotAffected));
    let nameless = Document { id: None, ..empty.clone() };
    assert_eq!(decided(&[clear.clone(), nameless]), Some(Status::NotAffected));
    // Nobody takes back what somebody else said.
    let (digests, distribution, packages) = ([digest()], debian(), [openssl()]);
    let image = Image { digests: &digests, packages: &packages, distribution: Some(&distribution) };
    let said = Said::new(vec![("a", Arc::new(clear)), ("b", Arc::new(empty))]);
    let found = finding("CVE-2026-1", openssl());
    assert_eq!(said.last(&found, &image, |by| *by == "a").map(|(by, _)| *by), Some("a"));
    assert!(said.last(&found, &image, |by| *by == "b").is_none());
}

#[test]
fn a_product_that_nothing_is_known_by_is_nothing() {
    let product = Product { component: Component::default(), subcomponents: Vec::new() };
    let none = Statement { products: Some(vec![product]), ..statement(Status::Fixed, NEW) };
    assert_eq!(decided(&[document(None, 1, &[none])]), None);
    let nobody = Statement { products: Some(Vec::new()), ..statement(Status::Fixed, NEW) };
    assert_eq!(decided(&[document(None, 1, &[nobody])]), None);
}
