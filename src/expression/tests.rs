//! What may be written, what is found wrong when it is read, and what is answered.

use serde_json::json;

use super::*;

const FINDING: &[(&str, Kind)] = &[("id", Kind::Text), ("score", Kind::Int)];
const WORDS: Vocabulary = Vocabulary {
    facts: &[
        (
            "image",
            Kind::Record(&[
                ("tag", Kind::Text),
                ("tags", Kind::List(Of::Text)),
                ("size", Kind::Int),
                ("created", Kind::Int),
                ("config", Kind::Record(&[("user", Kind::Text), ("root", Kind::Bool)])),
            ]),
        ),
        ("findings", Kind::List(Of::Record(FINDING))),
        ("predicate", Kind::Any),
        ("now", Kind::Int),
    ],
    absent: &[("client", "which is not known when a digest is judged")],
    is_typed: true,
    moment: Some(moment),
};

fn moment(text: &str) -> Option<i64> {
    (text == "2027-01-31T00:00:00Z").then_some(1_801_353_600)
}

fn read(text: &str) -> Result<Expression, String> {
    Expression::new(text, &WORDS)
}

fn facts() -> Facts {
    let mut facts = Facts::default();
    facts.set_ours(
        "image",
        json!({"tag": "1.0-debug", "tags": ["1.0-debug", "1"], "size": 1000, "created": 100_000,
            "config": {"user": "1000", "root": false}}),
    );
    facts.set_ours("findings", json!([{"id": "CVE-1", "score": 3}, {"id": "CVE-2", "score": 9}]));
    facts.set_ours("predicate", json!({"a": [1, 2], "b": {"c": "x"}}));
    facts.set_ours("now", json!(200_000));
    facts
}

#[test]
fn what_is_well_written_is_answered() {
    for (text, expected) in [
        ("!image.tag.endsWith('-debug')", false),
        ("image.tags.exists(tag, tag == '1')", true),
        ("image.tags.all(tag, !tag.contains('rc'))", true),
        ("image.size <= 1000 && image.config.user != 'root'", true),
        ("!image.config.root", true),
        ("now - image.created < duration('2d')", true),
        ("now - image.created < duration('1h')", false),
        ("now < timestamp('2027-01-31T00:00:00Z')", true),
        ("now - duration('1m') == 199940", true),
        ("findings.filter(f, f.score > 5).all(f, f.id == 'CVE-2')", true),
        ("findings.map(f, f.id)[0] == 'CVE-1'", true),
        ("findings.exists_one(f, f.score == 9)", true),
        ("size(findings) == 2 && findings[1].score == 9", true),
        ("'CVE-1' in findings.map(f, f.id)", true),
        ("has(image.created) && has(image.config.user)", true),
        ("predicate.b.c == 'x' && predicate.a.size() == 2", true),
        ("(image.size > 1 ? image.tag : 'x') == '1.0-debug'", true),
        ("findings.all(f, image.tags.exists(t, t == '1' && f.score > 1))", true),
    ] {
        let answer = read(text).and_then(|it| it.holds(&facts()));
        assert_eq!(answer, Ok(expected), "{text}");
    }
}

#[test]
fn what_short_circuits_would_hide_is_found_when_it_is_read() {
    for (text, why) in [
        ("image.tga == 'x'", "speaks of image.tga; known there: tag, tags"),
        ("true || image.tga == 'x'", "speaks of image.tga"),
        ("has(image.tga)", "speaks of image.tga"),
        ("image.config.usr == 'x'", "speaks of image.config.usr; known there: user, root"),
        ("image.tag.x == 'x'", "speaks of .x of image.tag, which is a text"),
        ("images.tag == 'x'", "speaks of images; known here: image, findings"),
        ("client.namespace == 'x'", "speaks of client, which is not known when a digest"),
        ("findings.all(f, f.socre < 7)", "speaks of it.socre; known there: id, score"),
        ("findings.filter(f, f.score > 1).all(f, f.nme == 'x')", "speaks of it.nme"),
        ("findings[0].nme == 'x'", "speaks of it.nme"),
        ("findings.id == 'x'", "speaks of .id of findings, which is a list"),
        ("image.tag", "answers neither yes nor no, but is a text"),
        ("image.size", "answers neither yes nor no, but is a number"),
        ("image.tags", "answers neither yes nor no, but is a list"),
        ("findings.map(f, f.id)", "but is a list"),
        ("now - image.created", "but is a number"),
        ("image.tag == 1", "compares what is a text with what is a number"),
        ("image.size < '1MiB'", "compares what is a number with what is a text"),
        ("image.tag && true", "has && on what is a text"),
        ("!image.size", "has ! on what is a number"),
        ("image.size.startsWith('1')", "has startsWith on what is a number"),
        ("1 in image.tags", "looks for what is a number in what is a list"),
        ("image.size.all(x, x == 1)", "goes through what is a number"),
        ("image == image", "speaks of all of image; write one of image.tag"),
        ("[image].exists(i, i.tag == 'x')", "speaks of all of image"),
        ("size(image) == 1", "speaks of all of image"),
        ("image['tag'] == 'x'", "speaks of all of image"),
        ("image.config['user'] == 'x'", "has [ ] on a record"),
        ("now - '72h' > 1", "has - on what is a text"),
        ("now - duration('72 hours') > 1", "duration('72 hours') is no such time"),
        ("now - duration('-1h') > 1", "is no such time"),
        ("now - duration('999999999999d') > 1", "is no such time"),
        ("now - duration('') > 1", "is no such time"),
        ("now - duration('1\u{e4}') > 1", "is no such time"),
        ("now - duration(image.tag) > 1", "duration takes one text"),
        ("now - duration(60) > 1", "duration takes one text"),
        ("now < timestamp('tomorrow')", "timestamp('tomorrow') is no such time"),
        ("now + 1 > 2", "calls +, which"),
        ("image.tag + 'x' == 'x'", "calls +, which"),
        ("now * 2 > 1", "calls *, which"),
        ("image.tag.matches('x')", "calls matches, which"),
        ("dyn(image.tag) == 'x'", "calls dyn, which"),
        ("{'a': 1}.a == 1", "makes a map"),
        ("findings.all(a, findings.all(b, findings.all(c, a == c)))", "more than 2 loops"),
        ("", "is no condition"),
        ("image.", "is no condition"),
        ("image.tag == 'x'; true", "is no condition"),
    ] {
        let error = read(text).map(|_| ()).expect_err(text);
        assert!(error.contains(why), "{text}: {error}, not {why}");
    }
}

#[test]
fn a_loop_may_use_a_name_that_is_a_fact_and_means_its_own() {
    let read = read("findings.all(now, now.score > 1)").unwrap();
    assert!(!read.uses("now") && read.uses("findings"));
    assert_eq!(read.holds(&facts()), Ok(true));
    let error = Expression::new("findings.all(image, image.tag == 'x')", &WORDS).unwrap_err();
    assert!(error.contains("speaks of it.tag"), "{error}");
}

#[test]
fn what_is_used_is_known_to_the_field() {
    let read = read("image.config.user == 'x' || findings.exists(f, f.score > now)").unwrap();
    for (path, is) in [
        ("image", true),
        ("image.config", true),
        ("image.config.user", true),
        ("findings", true),
        ("now", true),
        ("image.tag", false),
        ("predicate", false),
    ] {
        assert_eq!(read.uses(path), is, "{path}");
    }
    let has = Expression::new("has(image.created)", &WORDS).unwrap();
    assert!(has.uses("image.created"), "to ask whether it is there is to ask for it");
    assert!(!Expression::new("1 == 1", &WORDS).unwrap().says_something());
}

#[test]
fn what_is_not_there_is_no_answer() {
    let mut sparse = Facts::default();
    sparse.set_ours("image", json!({"tags": []}));
    for text in
        ["image.tag == 'x'", "findings.all(f, f.score < 7)", "now > 1", "predicate.x.y == 1"]
    {
        assert!(read(text).unwrap().holds(&sparse).is_err(), "{text}");
    }
    assert_eq!(read("has(image.tag)").unwrap().holds(&sparse), Ok(false));
    assert_eq!(read("image.tags.all(t, t == 'x')").unwrap().holds(&sparse), Ok(true));
    assert!(read("findings[7].score == 1").unwrap().holds(&facts()).is_err());
    let mut huge = Facts::default();
    huge.set_ours("now", json!(i64::MAX));
    huge.set_ours("image", json!({"created": i64::MIN}));
    assert!(read("now - image.created > 1").unwrap().holds(&huge).is_err(), "it overflows");
}

#[test]
fn what_is_too_much_to_go_through_is_not_gone_through() {
    let many = |count: usize| {
        let mut facts = Facts::default();
        let one = json!({"id": "x", "score": 1});
        facts.set_ours("findings", serde_json::Value::Array(vec![one; count]));
        facts
    };
    let once = read("findings.all(f, f.score == 1)").unwrap();
    let twice = read("findings.all(f, findings.exists(g, g.id == f.id))").unwrap();
    assert_eq!(once.holds(&many(10_000)), Ok(true));
    assert!(once.holds(&many(10_001)).is_err());
    assert_eq!(twice.holds(&many(1_000)), Ok(true));
    assert!(twice.holds(&many(1_001)).is_err());
}
