//! The command line: one file per subcommand.
//!
//! `serve` runs the mirror; the commands of [`admin`] are clients of a running one's admin API; the
//! rest look at files and need no server. Results go to standard output, everything said about them
//! to standard error; exit codes are those of [`Exit`].

mod admin;
mod archive;
mod config;
mod db;
mod demo;
mod doctor;
#[cfg(test)]
mod documented;
mod exit;
mod init;
mod isolated;
mod node;
mod openapi;
mod output;
mod policy;
mod preload;
mod sandboxed;
mod sbom;
mod scan;
mod serve;
mod trust_root;
mod verify;
mod verify_bundle;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use tokio::runtime::{Builder, Runtime};

pub(crate) use self::exit::{CliError, Exit};
use crate::tasks::POLLS_BETWEEN_EVENTS;

/// Largest block that the allocator keeps for the next use: 4 MiB.
const KEPT_BLOCK_BYTES_MAX: usize = 4 * 1024 * 1024;

const EXAMPLES: &str = "\
Examples:
  pratique serve                                  a mirror on 127.0.0.1:5000, nothing to configure
  crane manifest 127.0.0.1:5000/docker.io/library/alpine:3.20
  pratique requests                               what waits for a decision
  pratique approve R-1 --reason \"base image, reviewed\"
  pratique explain docker.io/library/alpine:3.20  why it is served, or why not

Exit codes: 0 done, 1 failed, 2 could not reach or read, 3 decided no, 64 wrong use.";

/// The trusted registry mirror: serves only images whose digests have passed the gates.
#[derive(Debug, Parser)]
#[command(name = "pratique", version, about, after_help = EXAMPLES, max_term_width = 100)]
#[command(disable_help_subcommand = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// What every command understands.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Common options")]
struct Common {
    /// The settings file; without it every setting has its default
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the admin API is, instead of what the settings say
    #[arg(long, global = true, value_name = "URL")]
    admin_url: Option<String>,
    /// The file with the admin token, instead of admin.token in the data directory
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// A PEM file with the authority behind the certificate of the admin API (of the repository, for
    /// `trust-root refresh`), where it is not one of the web's
    #[arg(long, global = true, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Print JSON for programs instead of tables for people
    #[arg(long, global = true)]
    json: bool,
    /// Print times as absolute UTC instead of relative to now
    #[arg(long, global = true)]
    utc: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the mirror
    Serve(serve::ServeArguments),
    /// Answer five questions and have settings, policy, certificates and node files written
    #[command(after_help = init::EXAMPLES)]
    Init(init::InitArguments),
    /// Show the gate's three answers without any network
    Demo,
    /// Try every way around the mirror with what pulls on this node
    #[command(after_help = doctor::EXAMPLES)]
    Doctor(doctor::DoctorArguments),
    #[command(flatten)]
    Admin(admin::AdminCommand),
    /// Check, test, explain and compare policy files
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Check a settings file
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Make or show the vulnerability database that images are compared with
    #[command(subcommand, after_help = db::EXAMPLES)]
    Db(db::DbCommand),
    /// Show, check or replace a trust root: whose certificates, logs and times count
    #[command(subcommand, after_help = trust_root::EXAMPLES)]
    TrustRoot(trust_root::TrustRootCommand),
    /// Tell what is in an image and what is known against it, for CI and laptops
    #[command(after_help = scan::EXAMPLES)]
    Scan(scan::ScanArguments),
    /// Write the bill of materials of an image, for other programs
    #[command(after_help = sbom::EXAMPLES)]
    Sbom(sbom::SbomArguments),
    /// Judge images by a policy without a mirror, for CI and laptops
    #[command(after_help = verify::EXAMPLES)]
    Verify(verify::VerifyArguments),
    /// Verify one Sigstore bundle over one artifact, offline
    #[command(after_help = verify_bundle::EXAMPLES)]
    VerifyBundle(verify_bundle::VerifyBundleArguments),
    /// Become another program, confined: how scanners are run
    #[command(hide = true)]
    Isolated(isolated::IsolatedArguments),
    /// Confine itself as `serve` does, and try to break out
    #[command(hide = true)]
    Sandboxed(sandboxed::SandboxedArguments),
    /// Print the description of the admin API: a document of `OpenAPI` 3.1
    Openapi,
    /// Make a node pull through the mirror
    #[command(subcommand)]
    Node(node::NodeCommand),
    /// Keep the images that bring a cluster up on its nodes
    #[command(subcommand, after_help = preload::EXAMPLES)]
    Preload(preload::PreloadCommand),
}

/// How an admin command finds its server, and how it prints.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    /// The settings file to take the listener and the data directory from.
    pub(crate) config: Option<PathBuf>,
    /// The base of the admin API; wins over the settings file.
    pub(crate) admin_url: Option<String>,
    /// The file that holds the token; wins over `admin.token` in the data directory.
    pub(crate) token_file: Option<PathBuf>,
    /// The file with authorities to trust besides the web's.
    pub(crate) ca_file: Option<PathBuf>,
    /// Whether to print JSON.
    pub(crate) json: bool,
    /// Whether to print absolute times.
    pub(crate) utc: bool,
}

impl From<Common> for Connection {
    fn from(common: Common) -> Self {
        let Common { config, admin_url, token_file, ca_file, json, utc } = common;
        Self { config, admin_url, token_file, ca_file, json, utc }
    }
}

/// Parses `arguments` (the program's name first), runs the command and gives the code to end with;
/// what went wrong is printed.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let Arguments { common, command } = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(help) => return print_help(&help),
    };
    match dispatch(command, common) {
        Ok(code) => code,
        Err(error) => {
            output::message(&error.chain());
            error.exit().into()
        }
    }
}

fn print_help(help: &clap::Error) -> ExitCode {
    // There is nobody left to tell when this cannot be printed; the code still says it.
    drop(help.print());
    exit_of(help).into()
}

/// Help and version are results; anything else that clap says is wrong use.
fn exit_of(help: &clap::Error) -> Exit {
    if help.use_stderr() { Exit::Misused } else { Exit::Done }
}

fn dispatch(command: Command, common: Common) -> Result<ExitCode, CliError> {
    let file = common.config.as_deref();
    match command {
        Command::Admin(command) => client_runtime()?.block_on(admin::run(command, common.into())),
        Command::Config(command) => config::run(command, file, common.json).map(done),
        Command::Db(command) => db::run(command, &common.into()),
        Command::Demo => server_runtime()?.block_on(demo::run(common.json)).map(done),
        Command::Doctor(arguments) => {
            server_runtime()?.block_on(doctor::run(arguments, common.into()))
        }
        Command::Init(arguments) => init::run(&arguments).map(done),
        Command::Isolated(arguments) => isolated::run(&arguments),
        Command::Node(command) => node::run(command, file, common.json),
        Command::Openapi => openapi::run(),
        Command::Policy(command) => {
            client_runtime()?.block_on(policy::run(command, &common.into()))
        }
        Command::Preload(command) => preload::run(command, &common.into()),
        Command::Sandboxed(arguments) => sandboxed::run(&arguments, file),
        Command::Sbom(arguments) => server_runtime()?.block_on(sbom::run(arguments, common.into())),
        Command::Scan(arguments) => server_runtime()?.block_on(scan::run(arguments, common.into())),
        Command::Serve(arguments) => {
            // Before there is a second thread: each is confined like the one that started it.
            let ready = serve::prepare(arguments, file)?;
            server_runtime()?.block_on(serve::run(ready)).map(done)
        }
        Command::TrustRoot(command) => trust_root::run(command, &common.into()).map(done),
        Command::Verify(arguments) => {
            server_runtime()?.block_on(verify::run(arguments, common.into()))
        }
        Command::VerifyBundle(arguments) => verify_bundle::run(&arguments, common.json).map(done),
    }
}

fn done((): ()) -> ExitCode {
    Exit::Done.into()
}

/// One thread is enough to wait for an answer.
fn client_runtime() -> Result<Runtime, CliError> {
    built(Builder::new_current_thread().enable_all().build())
}

fn server_runtime() -> Result<Runtime, CliError> {
    let mut builder = Builder::new_multi_thread();
    built(builder.enable_all().event_interval(POLLS_BETWEEN_EVENTS).build())
}

/// Lets the allocator keep the buffers of transfers instead of giving each back to the kernel, which
/// costs a page fault for every page of the next one.
///
/// The GNU allocator maps large blocks one by one until it has seen one freed, and from then on keeps
/// blocks up to that size, and twice that size of free memory in each arena. Others do as they do.
/// Not before everything has started: what the index asks for then, and never touches, is better mapped.
pub(super) fn keep_freed_buffers() {
    drop(std::hint::black_box(vec![0_u8; KEPT_BLOCK_BYTES_MAX]));
}

fn built(runtime: io::Result<Runtime>) -> Result<Runtime, CliError> {
    runtime.map_err(|error| CliError::failed("the runtime cannot be started").caused_by(error))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_tree_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_explains_itself() {
        fn look(command: &mut clap::Command) {
            let name = command.get_name().to_owned();
            assert!(command.get_about().is_some(), "{name} says what it does");
            let help = command.render_long_help().to_string();
            assert!(help.contains("Usage:"), "{name}: {help}");
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{name} --{} has a text", argument.get_id());
            }
            command.get_subcommands_mut().for_each(look);
        }
        let mut root = Arguments::command();
        root.build();
        look(&mut root);
    }

    #[test]
    fn wrong_use_ends_with_64_and_help_with_0() {
        let code =
            |words: &[&str]| Arguments::try_parse_from(words).err().map(|help| exit_of(&help));
        assert_eq!(code(&["pratique", "no-such-command"]), Some(Exit::Misused));
        assert_eq!(code(&["pratique"]), Some(Exit::Misused));
        assert_eq!(code(&["pratique", "--help"]), Some(Exit::Done));
        assert_eq!(code(&["pratique", "--version"]), Some(Exit::Done));
        assert_eq!(code(&["pratique", "serve", "--listen", "nowhere"]), Some(Exit::Misused));
        assert_eq!(code(&["pratique", "serve", "--listen", "127.0.0.1:0"]), None);
    }
}
