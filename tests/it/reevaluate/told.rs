//! `pratique reevaluate`, in words and as JSON.

use serde_json::{Value, json};

use super::{DAY, EVERY, NAME, Registry};
use crate::admin::Desk;

/// A desk whose upstream lost the signatures of as many images as are served, and has been looked at.
async fn desk(images: usize) -> (Desk, Vec<String>) {
    let registry = Registry::with(images, EVERY).await;
    for digest in &registry.digests {
        registry.lose(digest);
    }
    registry.mirror.clock.advance(DAY);
    registry.pass().await;
    let mut held: Vec<String> =
        registry.digests.iter().map(|digest| format!("{NAME}@{digest}")).collect();
    held.sort();
    (Desk::of(registry.mirror), held)
}

async fn json_of(desk: &Desk, arguments: &[&str]) -> Value {
    let told = desk.run(&[arguments, &["--json"]].concat()).await;
    assert_eq!(told.code, 0, "{told:?}");
    serde_json::from_str(&told.stdout).expect("JSON")
}

#[tokio::test]
async fn where_nothing_is_held_that_is_said() {
    let (desk, _) = desk(0).await;
    let told = desk.run(&["reevaluate"]).await;
    let expected = "0 images looked at in the last pass: 0 taken back, 0 could not be looked for; 0 overdue.\n\
                    Nothing is held.\n";
    assert_eq!((told.code, told.stdout.as_str()), (0, expected), "{told:?}");
    let view = json_of(&desk, &["reevaluate"]).await;
    let nothing = json!({
        "held": [], "looked": 0, "revoked": 0, "failed": 0, "overdue": 0, "applied": false,
    });
    assert_eq!(view, nothing);
}

#[tokio::test]
async fn what_is_held_is_listed_and_taken_back_with_a_reason() {
    let (desk, held) = desk(2).await;
    let told = desk.run(&["reevaluate"]).await;
    let expected = format!(
        "2 images looked at in the last pass: 0 taken back, 0 could not be looked for; 0 overdue.\n\
         2 images held: upstream lost what they rest on. They are served on; pratique reevaluate --apply \
         --reason TEXT takes them back.\n  {}\n  {}\n",
        held[0], held[1]
    );
    assert_eq!((told.code, told.stdout), (0, expected));
    let view = json_of(&desk, &["reevaluate"]).await;
    assert_eq!((&view["held"], &view["applied"]), (&json!(held), &json!(false)), "{view}");

    // Without a reason nothing is done, and neither with a reason alone.
    for wrong in [
        &["reevaluate", "--apply"][..],
        &["reevaluate", "--reason", "gone"],
        &["reevaluate", "--apply", "--reason", " "],
    ] {
        let refused = desk.run(wrong).await;
        assert_eq!(refused.code, 64, "{refused:?}");
    }
    assert_eq!(json_of(&desk, &["reevaluate"]).await["held"], json!(held));

    let done = desk.run(&["reevaluate", "--apply", "--reason", "the vendor left"]).await;
    let expected = "2 images looked at: 2 taken back, 0 could not be looked for; 0 overdue.\n\
                    Nothing is held.\n";
    assert_eq!((done.code, done.stdout.as_str()), (0, expected), "{done:?}");
    let view = json_of(&desk, &["reevaluate"]).await;
    assert_eq!((&view["held"], &view["revoked"]), (&json!([]), &json!(2)), "{view}");
}
