//! `pratique db update`, as a process: what is fetched, what has to be signed, and what is never taken.

use std::path::PathBuf;
use std::process::Output;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::support::archive::{CRITICAL, record, write_database};
use crate::support::signer::Signer;
use crate::support::upstream::{FakeUpstream, Fault, Image};

const THEN: &str = "2026-11-20T09:00:00Z";
const LATER: &str = "2026-11-21T09:00:00Z";
const DATABASE_TYPE: &str = "application/vnd.pratique.vulnerabilities.v1";

/// What a call did.
#[derive(Debug)]
struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Ran {
    #[track_caller]
    fn assert(&self, code: i32, text: &str) {
        let spoken = format!("{}{}", self.stdout, self.stderr);
        assert!(self.code == code && spoken.contains(text), "{code} {text:?}: {self:?}");
    }
}

/// Somebody who updates, and a place on the network that has what they want.
struct Updater {
    upstream: FakeUpstream,
    signer: Signer,
    folder: TempDir,
}

impl Updater {
    async fn new() -> Self {
        let updater = Self {
            upstream: FakeUpstream::start().await,
            signer: Signer::generate(),
            folder: tempfile::tempdir().expect("a folder"),
        };
        updater.write("database.pub", &updater.signer.public_pem());
        updater.configure("");
        updater
    }

    /// Settings with `more` at their end.
    fn configure(&self, more: &str) {
        let settings = format!(
            "data_dir = {:?}\n[[upstream]]\nregistry = \"up.test\"\nurl = {:?}\ndanger_plain_http = true\n{more}",
            self.folder.path().join("data"),
            self.upstream.url(),
        );
        self.write("pratique.toml", &settings);
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    fn write(&self, file: &str, content: &str) {
        std::fs::write(self.path(file), content).expect("a file");
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.upstream.url())
    }

    /// A database as of `as_of`, of these ecosystems, in bytes.
    fn made(&self, as_of: &str, ecosystems: &[&str]) -> Vec<u8> {
        let records: Vec<Value> = ecosystems
            .iter()
            .map(|ecosystem| record(&format!("CVE-{ecosystem}"), ecosystem, "a", "2", CRITICAL))
            .collect();
        write_database(&self.path("made.db"), as_of, &records);
        std::fs::read(self.path("made.db")).expect("a database")
    }

    async fn update(&self, arguments: &[&str]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pratique"));
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
            command.env_remove(name);
        }
        let (settings, to) = (self.path("pratique.toml"), self.path("v.db"));
        command.args(["db", "update"]).args(arguments);
        command.args(["--config".as_ref(), settings.as_os_str(), "--to".as_ref(), to.as_os_str()]);
        let Output { status, stdout, stderr } = command.output().await.expect("a run");
        Ran {
            code: status.code().expect("an exit code"),
            stdout: String::from_utf8(stdout).expect("text"),
            stderr: String::from_utf8(stderr).expect("text"),
        }
    }

    fn taken(&self) -> Option<Vec<u8>> {
        std::fs::read(self.path("v.db")).ok()
    }

    /// With the key, from `from`.
    async fn from(&self, from: &str, more: &[&str]) -> Ran {
        let key = self.path("database.pub");
        let arguments = ["--from", from, "--key", key.to_str().expect("text")];
        self.update(&[&arguments, more].concat()).await
    }
}

#[tokio::test]
async fn feeds_are_fetched_and_all_of_them_or_none_is_taken() {
    let updater = Updater::new().await;
    let (debian, npm) = (
        record("CVE-1", "Debian:12", "a", "2", CRITICAL),
        record("CVE-2", "npm", "b", "2", CRITICAL),
    );
    updater.upstream.put_file("/osv/CVE-1.json", debian.to_string());
    updater.upstream.put_file("/elsewhere/CVE-2.json", npm.to_string());
    let kev = json!({"catalogVersion": "2026.11.20", "dateReleased": THEN,
                     "vulnerabilities": [{"cveID": "CVE-2026-1111", "dateAdded": "2026-11-20"}]});
    updater.upstream.put_file("/kev.json", kev.to_string());
    // As those of EPSS do, one is somewhere else.
    let elsewhere = updater.url("/elsewhere/CVE-2.json");
    updater.upstream.fault("/osv/CVE-2.json", Fault::Redirect(302, elsewhere.clone()));
    let modified = "Fri, 20 Nov 2026 08:00:00 GMT".to_owned();
    updater.upstream.fault("/osv/CVE-1.json", Fault::Header("last-modified", modified));
    let urls = ["/osv/CVE-1.json", "/osv/CVE-2.json", "/kev.json"].map(|path| updater.url(path));
    let feeds = ["--feed", &urls[0], "--feed", &urls[1], "--feed", &urls[2]];
    updater
        .update(&feeds)
        .await
        .assert(0, "2 records about 2 vulnerabilities, as of 2026-11-20T08:00");
    let taken = updater.taken().expect("a database");

    // One that is away leaves everything as it was.
    updater.upstream.fault("/kev.json", Fault::Status(404));
    updater.update(&feeds).await.assert(2, "/kev.json was answered with 404");
    updater.upstream.heal();
    updater.upstream.fault("/osv/CVE-2.json", Fault::Redirect(302, elsewhere));
    updater.upstream.fault("/kev.json", Fault::CutAfter(20));
    updater.update(&feeds).await.assert(2, "/kev.json was not fetched");
    assert_eq!(updater.taken(), Some(taken));

    // What the settings say is fetched where nothing else is said.
    updater.upstream.heal();
    updater.configure(&format!("[scan.update]\nfeeds = [{:?}]\n", urls[0]));
    updater.update(&[]).await.assert(3, "1 ecosystems would be lost, such as npm");
    updater.update(&["--force"]).await.assert(0, "1 records about 1 vulnerabilities");
}

#[tokio::test]
async fn a_redirect_leads_to_no_other_plain_or_private_place_and_ends() {
    let updater = Updater::new().await;
    let url = updater.url("/CVE-1.json");
    for (target, expected) in [
        (url.clone(), "redirects too often"),
        ("http://192.0.2.1/x".to_owned(), "redirects to"),
        ("https://127.0.0.1:1/x".to_owned(), "was not fetched"),
    ] {
        updater.upstream.fault("/CVE-1.json", Fault::Redirect(302, target));
        updater.update(&["--feed", &url]).await.assert(2, expected);
        updater.upstream.heal();
    }
    assert_eq!(updater.taken(), None);
}

#[tokio::test]
async fn a_finished_file_is_taken_with_its_signature_only() {
    let updater = Updater::new().await;
    let made = updater.made(THEN, &["Debian:12", "npm"]);
    let url = updater.url("/db/v.db");
    updater.upstream.put_file("/db/v.db", made.clone());
    updater.update(&["--from", &url]).await.assert(64, "name its key by --key");
    updater.from(&url, &[]).await.assert(3, "is not signed: ");
    let other = Signer::generate().sign(&made);
    let of_other = updater.signer.sign(b"another file");
    let good = updater.signer.sign(&made);
    for (signature, expected) in [
        (other.as_str(), "was not taken"),
        (of_other.as_str(), "was not taken"),
        ("", "was not taken"),
        ("???", "was not taken"),
        (good.trim_end_matches('='), "was not taken"),
    ] {
        updater.upstream.put_file("/db/v.db.sig", signature.to_owned());
        if signature != good {
            updater.from(&url, &[]).await.assert(3, expected);
        }
    }
    let mut changed = made.clone();
    changed[made.len() / 2] ^= 1;
    updater.upstream.put_file("/db/v.db.sig", good);
    updater.upstream.put_file("/db/v.db", changed);
    updater.from(&url, &[]).await.assert(3, "was not taken");
    assert_eq!(updater.taken(), None);
    updater.upstream.put_file("/db/v.db", made.clone());
    updater.from(&url, &[]).await.assert(0, "as of 2026-11-20");
    assert_eq!(updater.taken(), Some(made));

    // What was signed once and is older, or has less in it, does not come back.
    for (as_of, ecosystems, expected) in [
        ("2026-11-19T09:00:00Z", &["Debian:12", "npm"][..], "as of 2026-11-19"),
        (LATER, &["npm"], "1 ecosystems would be lost, such as Debian:12"),
    ] {
        let older = updater.made(as_of, ecosystems);
        updater.upstream.put_file("/db/v.db.sig", updater.signer.sign(&older));
        updater.upstream.put_file("/db/v.db", older);
        updater.from(&url, &[]).await.assert(3, expected);
    }
    // Signed, and no database.
    updater.upstream.put_file("/db/v.db.sig", updater.signer.sign(b"no database"));
    updater.upstream.put_file("/db/v.db", &b"no database"[..]);
    updater.from(&url, &["--force"]).await.assert(1, "what was made cannot be read");
}

#[tokio::test]
async fn an_artifact_is_judged_as_whatever_is_served() {
    let updater = Updater::new().await;
    let made = updater.made(THEN, &["Debian:12"]);
    let artifact =
        Image::artifact(DATABASE_TYPE).layer_of(DATABASE_TYPE, made.clone(), &[]).build();
    updater.upstream.push("db", "latest", &artifact);
    let from = "up.test/db:latest";
    updater.from(from, &[]).await.assert(3, "was not taken: not signed");
    let digest = artifact.digest();
    let forged = Signer::generate().simple_signing("up.test/db", &digest);
    updater.upstream.attach_by_sig_tag("db", &digest, &forged);
    updater.from(from, &[]).await.assert(3, "was not taken: ");
    let elsewhere = updater.signer.simple_signing("up.test/other", &digest);
    updater.upstream.attach_by_sig_tag("db", &digest, &elsewhere);
    updater.from(from, &[]).await.assert(3, "was not taken: ");
    assert_eq!(updater.taken(), None);
    let good = updater.signer.simple_signing("up.test/db", &digest);
    updater.upstream.attach_by_sig_tag("db", &digest, &good);
    updater.from(from, &[]).await.assert(0, "as of 2026-11-20");
    assert_eq!(updater.taken(), Some(made.clone()));

    let key = updater.path("database.pub");
    updater.configure(&format!("[scan.update]\nfrom = {from:?}\nkey = {key:?}\n"));
    updater.update(&[]).await.assert(0, "as of 2026-11-20");
    updater.from("up.test/db:absent", &[]).await.assert(2, "could not be had");
    updater.from("Not An Image", &[]).await.assert(64, "neither an address");
    let two = Image::artifact(DATABASE_TYPE).layer(made.clone()).layer(b"more".to_vec()).build();
    updater.upstream.push("db", "two", &two);
    let signed = updater.signer.simple_signing("up.test/db", &two.digest());
    updater.upstream.attach_by_sig_tag("db", &two.digest(), &signed);
    updater.from("up.test/db:two", &[]).await.assert(3, "is no artifact of one layer");
}

#[tokio::test]
async fn what_is_not_said_or_contradicts_itself_is_told() {
    let updater = Updater::new().await;
    updater.update(&[]).await.assert(64, "where from?");
    for (settings, expected) in [
        ("from = \"up.test/db\"", "scan.update.from"),
        ("from = \"up.test/db\"\nkey = \"k\"\nfeeds = [\"https://a.test/x\"]", "keep one of them"),
        ("feeds = [\"a.test/x\"]", "is not an address"),
        ("interval = \"1h\"", "interval"),
    ] {
        updater.configure(&format!("[scan.update]\n{settings}\n"));
        updater.update(&[]).await.assert(64, expected);
    }
    updater.configure("");
    for url in ["https://a.test/", "ftp://a.test/x", "http://192.0.2.1/x", "https://a.test/x?y"] {
        updater.update(&["--feed", url]).await.assert(64, "cannot be asked");
    }
}
