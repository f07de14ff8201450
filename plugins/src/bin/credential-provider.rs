//! `pratique-credential-provider`: what kubelet runs to tell the mirror which pod pulls.

use std::io::Write as _;
use std::process::ExitCode;

use pratique_plugins::credential;

const HELP: &str = "\
Tells the mirror which pod pulls, for kubelet: hands on the pod's service account token.

Usage: pratique-credential-provider <CredentialProviderRequest >CredentialProviderResponse

kubelet --image-credential-provider-bin-dir=/opt/kubelet/credential-providers \\
        --image-credential-provider-config=/etc/kubernetes/credential-providers.yaml

  apiVersion: kubelet.config.k8s.io/v1
  kind: CredentialProviderConfig
  providers:
  - name: pratique-credential-provider
    apiVersion: credentialprovider.kubelet.k8s.io/v1
    matchImages: [\"ghcr.io/acme/shop\"]   # a host, and how the path begins
    defaultCacheDuration: \"0s\"
    tokenAttributes:
      serviceAccountTokenAudience: pratique
      cacheType: Token
      requireServiceAccount: true

It reads no settings, asks nobody, and keeps and logs nothing.
Ends with 0 when there is an answer, 1 when standard input is no request.";

fn main() -> ExitCode {
    let first = std::env::args_os().nth(1);
    let (text, code) = match first.as_ref().and_then(|first| first.to_str()) {
        Some("--help" | "-h") => (HELP.to_owned(), 0),
        Some("--version") => (env!("CARGO_PKG_VERSION").to_owned(), 0),
        _ => match credential::respond(std::io::stdin()) {
            Ok(answer) => (answer.to_string(), 0),
            Err(why) => {
                // Nobody may be listening; the code is the answer.
                drop(writeln!(std::io::stderr(), "pratique-credential-provider: {why}"));
                return ExitCode::FAILURE;
            }
        },
    };
    match writeln!(std::io::stdout(), "{text}") {
        Ok(()) => ExitCode::from(code),
        Err(_) => ExitCode::FAILURE,
    }
}
