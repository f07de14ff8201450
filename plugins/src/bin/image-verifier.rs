//! `pratique-image-verifier`: what containerd runs before it keeps an image.

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use pratique_plugins::verifier::{self, Answer, SETTINGS, SETTINGS_VARIABLE};

const HELP: &str = "\
Asks the mirror whether an image may be kept, for containerd's image verifier plugin.

Put this program into the plugin's bin_dir; containerd runs it for every image that it is about to
pull, and keeps the image only when it ends with 0:

  [plugins.\"io.containerd.image-verifier.v1.bindir\"]
    bin_dir = \"/opt/containerd/image-verifier/bin\"
    max_verifiers = 10
    per_verifier_timeout = \"10s\"

Usage: pratique-image-verifier -name IMAGE -digest DIGEST -stdin-media-type TYPE <DESCRIPTOR
       pratique-image-verifier --check     reads the settings and asks every mirror whether it is there
       pratique-image-verifier --help | --version

Settings: /etc/pratique/image-verifier.toml, or the file that PRATIQUE_IMAGE_VERIFIER_CONFIG names
in containerd's environment. A mistake in them refuses every image.
Ends with 0 when the image may be kept, 3 when not, 64 when it was called in a way it does not know.";

#[expect(
    clippy::disallowed_methods,
    reason = "the composition root: the environment and the clock"
)]
fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let said = match arguments.first().and_then(|first| first.to_str()) {
        Some("--help" | "-h") => return print(HELP, 0),
        Some("--version") => return print(env!("CARGO_PKG_VERSION"), 0),
        Some("--check") if arguments.len() == 1 => Said::Check,
        _ => Said::Judge,
    };
    let path = std::env::var_os(SETTINGS_VARIABLE).unwrap_or_else(|| SETTINGS.into());
    let now = std::time::SystemTime::now();
    match said {
        Said::Check => {
            let (text, is_good) = verifier::check(path.as_ref());
            print(&text, u8::from(!is_good))
        }
        Said::Judge => match verifier::judge(&arguments, std::io::stdin(), path.as_ref(), now) {
            Answer::Allowed(reason) => print(&reason, 0),
            Answer::Refused(reason) => print(&reason, 3),
            Answer::Misused(reason) => print(&reason, 64),
        },
    }
}

/// What the command line asks for.
enum Said {
    Check,
    Judge,
}

/// Says `text` and ends with `code`; containerd reads the reason from standard output.
fn print(text: &str, code: u8) -> ExitCode {
    // Nobody may be listening; the code is the answer.
    drop(writeln!(std::io::stdout(), "{text}"));
    ExitCode::from(code)
}
