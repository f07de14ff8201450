//! Files that are gone, and folders that are.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use super::signing::Office;

/// Longer than a file has to be missing.
const LONG_GONE: Duration = Duration::from_secs(9);

async fn until_held(office: &Office, why: &str) {
    let held = |list: &serde_json::Value| list["held"].as_str().is_some_and(|it| it.contains(why));
    office.until(why, held).await;
    assert_eq!(office.desk.mirror.mirror().metrics().approval_files_held.value(), 1);
}

#[tokio::test]
async fn a_vote_goes_with_its_file() {
    let office = Office::open().await;
    office.waiting().await;
    let draft = office.draft("R-1").await;
    office.put_yes(&draft, "alice");
    office.until_state("alice.json", "counts").await;
    let file = fs::read(office.folder().join("alice.json")).expect("a file");
    office.take("alice.json");
    for _ in 0..400 {
        if office.done("vote-withdrawn").await == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    office.put_yes(&draft, "bob");
    let why = office.until_state("bob.json", "counts").await;
    assert!(why.starts_with("1 of 2"), "{why}");
    office.refused("Pending approval R-1").await;
    // Nobody decided meanwhile: put back, it counts again.
    office.put("alice.json", file);
    office.until_served().await;
    assert_eq!(office.done("vote-withdrawn").await, 1);
}

#[tokio::test]
async fn an_approval_goes_with_a_file_that_went_while_the_mirror_was_down() {
    let office = Office::open().await;
    office.approved().await;
    let office =
        office.restart(|folder| fs::remove_file(folder.join("alice.json")).expect("it")).await;
    office.until_refused("Pending approval R-2").await;
    assert_eq!(office.done("approval-withdrawn").await, 1);
    // What was signed before does not count for what is asked since.
    let office = office.restart(|_| {}).await;
    office.until_state("bob.json", "void").await;
    office.refused("Pending approval R-2").await;
}

#[tokio::test]
async fn a_folder_that_is_not_there_takes_nothing_back() {
    let office = Office::open().await;
    office.approved().await;
    let (folder, aside) = (office.folder(), office.desk.mirror.folder().join("away"));
    fs::rename(&folder, &aside).expect("away");
    until_held(&office, "cannot be read").await;
    tokio::time::sleep(LONG_GONE).await;
    office.until_served().await;
    // A mount point without its mount.
    fs::create_dir(&folder).expect("a folder");
    until_held(&office, "it is empty").await;
    tokio::time::sleep(LONG_GONE).await;
    let office = office.restart(|_| {}).await;
    until_held(&office, "it is empty").await;
    tokio::time::sleep(LONG_GONE).await;
    office.until_served().await;
    assert_eq!(office.done("approval-withdrawn").await, 0);

    fs::remove_dir(&folder).expect("it");
    fs::rename(&aside, &folder).expect("back");
    office.until("followed again", |list| list["held"].is_null()).await;
    office.until_served().await;
    // With a file of any kind it is taken at its word, however much is missing.
    office.take("alice.json");
    office.take("bob.json");
    office.until_refused("Pending approval R-2").await;
}

#[tokio::test]
async fn a_file_that_is_replaced_is_not_gone_in_between() {
    let office = Office::open().await;
    office.approved().await;
    let file = fs::read(office.folder().join("alice.json")).expect("a file");
    for _ in 0..4 {
        office.take("alice.json");
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        office.put("alice.json", &file);
        tokio::time::sleep(Duration::from_millis(2_500)).await;
    }
    office.until_served().await;
    assert_eq!(office.done("approval-withdrawn").await, 0);
    // Other content under its name is another file.
    office.put("alice.json", "{}");
    office.until_refused("Pending approval R-2").await;
}

#[tokio::test]
async fn a_file_that_the_system_does_not_let_be_read_is_not_gone() {
    let office = Office::open().await;
    office.approved().await;
    let path = office.folder().join("alice.json");
    let file = fs::read(&path).expect("a file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).expect("a change");
    if fs::read(&path).is_ok() {
        // Whoever runs this may read everything: there is nothing to see.
        assert_eq!(fs::read(&path).expect("a file"), file);
        return;
    }
    until_held(&office, "alice.json cannot be read").await;
    tokio::time::sleep(LONG_GONE).await;
    office.until_served().await;
}
