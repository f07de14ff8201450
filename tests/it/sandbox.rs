//! The program confines itself: nothing that tries to break out gets anywhere, and all of it goes where
//! nothing is confined.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

/// Prints a line for each system call: its name and the number of the error, 0 for none. What it is called
/// with does nothing where it is let through.
const CALLS: &str = r#"
my %calls = (ptrace => [101, 99999, 1, 0, 0], unshare => [272, 0], setns => [308, -1, 0], keyctl => [250, 999],
  bpf => [321, 999, 0, 0], process_vm_readv => [310, $$, 0, 0, 0, 0, 0], pidfd_getfd => [438, -1, 0, 0],
  io_uring_setup => [425, 0, 0], userfaultfd => [323, -1], personality => [135, 0xffffffff],
  clone_user => [56, 0x10000000 | 17, 0, 0, 0, 0], mount => [165, 0, 0, 0, 0, 0], chroot => [161, 0],
  init_module => [175, 0, 0, 0], kexec_load => [246, 0, 999, 0, 0], perf_event_open => [298, 0, 0, 0, 0, 0]);
for my $name (sort keys %calls) {
  my ($number, @arguments) = @{$calls{$name}};
  my $answer = syscall($number, @arguments);
  my $error = $answer == -1 ? $! + 0 : 0;
  exit 0 if $name eq "clone_user" && $answer == 0;
  print "$name: $error\n";
}
"#;
const EPERM: &str = "1";

struct Rig {
    /// With everything that the program is given.
    own: TempDir,
    outside: TempDir,
    settings: PathBuf,
}

impl Rig {
    fn new(mode: &str, further: &str) -> Self {
        let (own, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for name in ["secret", "victim", "log"] {
            fs::write(outside.path().join(name), "x").unwrap();
        }
        let settings = own.path().join("pratique.toml");
        let data = own.path().join("data");
        fs::create_dir(&data).unwrap();
        let text = format!(
            "data_dir = {data:?}\n[node]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n\
             [sandbox]\nmode = {mode:?}\n{further}"
        );
        fs::write(&settings, text).unwrap();
        Self { own, outside, settings }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pratique"));
        command.arg("sandboxed").arg("--config").arg(&self.settings);
        command
    }

    /// How each attempt went.
    fn attempts(&self, port: u16, socket: &str) -> BTreeMap<String, String> {
        let mut command = self.command();
        command.arg("--outside").arg(self.outside.path());
        command.args(["--port", &port.to_string(), "--socket", socket]);
        lines(&mut command)
    }
}

fn lines(command: &mut Command) -> BTreeMap<String, String> {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, outcome)| (name.to_owned(), outcome.to_owned()))
        .collect()
}

/// A port at which nobody listens just now.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// What the running kernel can do; a test that cannot show anything says so.
fn can_be_confined() -> bool {
    let rig = Rig::new("require", "");
    let output = rig.command().arg("--outside").arg(rig.outside.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() && said.contains("not all of it can be had here") {
        println!("skipped, not shown: {said}");
        return false;
    }
    assert!(output.status.success(), "{said}");
    true
}

#[test]
fn nothing_that_tries_to_break_out_gets_anywhere() {
    let socket = format!("pratique-test-{}", std::process::id());
    let name = SocketAddr::from_abstract_name(&socket).unwrap();
    let _listener = UnixListener::bind_addr(&name).unwrap();
    // Without the sandbox all of it goes: so a refusal below says something.
    let control = Rig::new("off", "").attempts(free_port(), &socket);
    let went: Vec<_> = control.iter().filter(|(_, how)| *how != "went").collect();
    // Who may not attach to the process that started it is stopped by the machine already.
    let by_machine = ["descriptor", "environment"];
    assert!(went.iter().all(|(name, _)| by_machine.contains(&name.as_str())), "{control:?}");
    assert_eq!(control.len(), 13);
    if !can_be_confined() {
        return;
    }
    let rig = Rig::new("require", "");
    let confined = rig.attempts(free_port(), &socket);
    assert_eq!(confined.len(), control.len());
    for (name, how) in &confined {
        let refused = how.contains("Permission denied")
            || how.contains("Operation not permitted")
            // A link or a rename between folders with different rights.
            || how.contains("cross-device") || how.contains("Cross-device");
        // What only newer kernels hold.
        let is_held = name != "socket" || how != "went" || !holds_sockets();
        if name == "inside" {
            assert_eq!(how, "went");
        } else {
            assert!(refused || !is_held, "{name}: {how}");
        }
    }
    assert!(rig.outside.path().join("victim").exists());
    assert!(!rig.outside.path().join("created").exists());
    assert_eq!(fs::read_to_string(rig.outside.path().join("log")).unwrap(), "x");
}

/// From 6.12 on.
fn holds_sockets() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split(['.', '-']).filter_map(|part| part.trim().parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(6), Some(12))
}

/// A program that the settings allow has the same system calls refused.
#[test]
#[cfg(target_arch = "x86_64")]
fn what_it_starts_makes_no_system_call_that_it_may_not_make_itself() {
    let perl = PathBuf::from("/usr/bin/perl");
    if !perl.exists() || !can_be_confined() {
        println!("skipped, not shown: no perl, or the kernel cannot confine");
        return;
    }
    // It takes the place of a scanner.
    let scanner =
        "[[scan.adapter]]\nname = \"perl\"\nkind = \"grype\"\nprogram = \"/usr/bin/perl\"\n";
    let run = |mode| {
        let rig = Rig::new(mode, scanner);
        lines(rig.command().arg("--").arg(&perl).args(["-e", CALLS]))
    };
    let (control, confined) = (run("off"), run("require"));
    assert_eq!(confined.len(), 16, "{confined:?}");
    assert!(confined.values().all(|error| error == EPERM), "{confined:?}");
    // The control run is not refused by a filter. What only root may do is refused to others anyhow.
    let let_through = control.values().filter(|error| *error != EPERM).count();
    assert!(let_through >= 8, "{control:?}");
}

#[test]
fn a_program_that_no_setting_names_cannot_be_started() {
    if !can_be_confined() {
        return;
    }
    let rig = Rig::new("on", "");
    let output = rig.command().args(["--", "/bin/true"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(said.contains("it cannot be run: Operation not permitted"), "{said}");
}

#[test]
fn a_path_of_the_settings_is_open_and_one_that_is_not_absolute_is_a_mistake() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("secret"), "x").unwrap();
    let more = format!("read = [{:?}]\n", folder.path());
    let rig = Rig::new("on", &more);
    let mut command = rig.command();
    command.arg("--outside").arg(folder.path());
    assert_eq!(lines(&mut command)["read"], "went");
    let rig = Rig::new("on", "read = [\"secrets\"]\n");
    let output = rig.command().arg("--outside").arg(rig.own.path()).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("no settings"));
    assert!(!output.status.success());
}

/// A mirror that runs, confined.
struct Serving {
    process: std::process::Child,
    log: PathBuf,
}

impl Serving {
    fn begin(rig: &Rig, arguments: &[&str]) -> Self {
        let log = rig.own.path().join("log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_pratique"));
        command.arg("serve").arg("--config").arg(&rig.settings).args(arguments);
        command.stderr(fs::File::create(&log).unwrap()).stdout(std::process::Stdio::null());
        let serving = Self { process: command.spawn().unwrap(), log };
        serving.wait_for("confined: files are held by Landlock");
        serving.wait_for("ready");
        serving
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn wait_for(&self, text: &str) {
        for _ in 0..600 {
            if self.log().contains(text) {
                return;
            }
            #[expect(clippy::disallowed_methods, reason = "no runtime here")]
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        panic!("{text}: {}", self.log());
    }

    fn reload(&self) {
        let hangup = Command::new("kill").args(["-HUP", &self.process.id().to_string()]).status();
        assert!(hangup.unwrap().success());
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn policy(revision: u32) -> String {
    format!(
        "apiVersion: pratique.dev/v1\nkind: Policy\nmetadata: {{name: site, revision: {revision}}}\n\
         rules:\n- {{id: all, match: [\"**\"], trust: approve}}\n"
    )
}

/// A mounted `ConfigMap` is swapped by turning `..data` to another folder; then nothing of the old one is
/// left. The confined mirror finds the new one, and reads what replaced a file by renaming.
#[test]
fn a_policy_that_is_swapped_as_kubernetes_does_it_is_read_by_a_mirror_that_is_confined() {
    if !can_be_confined() {
        return;
    }
    let rig = Rig::new("require", "");
    let mounted = rig.own.path().join("mounted");
    let generation = |number: u32| {
        let folder = mounted.join(format!("..{number}"));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("policy.yaml"), policy(number)).unwrap();
        let link = mounted.join("..new");
        std::os::unix::fs::symlink(format!("..{number}"), &link).unwrap();
        fs::rename(&link, mounted.join("..data")).unwrap();
    };
    generation(1);
    std::os::unix::fs::symlink("..data/policy.yaml", mounted.join("policy.yaml")).unwrap();
    let serving =
        Serving::begin(&rig, &["--policy", mounted.join("policy.yaml").to_str().unwrap()]);
    let in_force = |revision: u32| {
        serving.reload();
        serving.wait_for(&format!("revision={revision}"));
    };
    generation(2);
    fs::remove_dir_all(mounted.join("..1")).unwrap();
    in_force(2);
    generation(3);
    fs::remove_dir_all(mounted.join("..2")).unwrap();
    in_force(3);
}

/// The listener for API servers and the keys of the cluster, whose file is replaced as `kubectl` and mounts do it.
#[test]
fn api_servers_are_answered_and_the_keys_of_the_cluster_are_read_again_by_a_mirror_that_is_confined()
 {
    if !can_be_confined() {
        return;
    }
    let (cluster, port) = (tempfile::tempdir().unwrap(), free_port());
    let keys = cluster.path().join("keys.json");
    let replace = |text: &str| {
        let beside = cluster.path().join("new");
        fs::write(&beside, text).unwrap();
        fs::rename(&beside, &keys).unwrap();
    };
    // The key of RFC 7517, appendix A.1.
    replace(
        r#"{"keys": [{"kty": "EC", "crv": "P-256", "kid": "1", "use": "sig", "alg": "ES256",
            "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
            "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}"#,
    );
    let rig = Rig::new(
        "require",
        &format!(
            "[node.pods]\nissuer = \"https://kubernetes.default.svc\"\nkeys = {keys:?}\n\
             [admission]\nlisten = \"127.0.0.1:{port}\"\n"
        ),
    );
    let serving = Serving::begin(&rig, &[]);
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    let request = "GET /readyz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut stream, &mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // What is wrong with the new file is its content: it could be read.
    replace("{");
    serving.reload();
    serving.wait_for("the keys of the cluster stay as they were");
    assert!(!serving.log().contains("ermission denied"), "{}", serving.log());
}
