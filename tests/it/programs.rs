//! Foreign programs: ended with all that they start, held to what they may have, and heard whole or not
//! at all. The programs are small shell scripts.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pratique::program::{Launcher, Output, Program, ProgramError, ProgramLimits};
use tempfile::TempDir;

/// Longer than any test waits for a script that sleeps.
const LONG: &str = "300";

struct Rig {
    launcher: Launcher,
    /// Of the script, which it may read and not write to.
    scripts: TempDir,
    program: Program,
}

impl Rig {
    /// A program that does `script`.
    fn new(script: &str) -> Self {
        let (scripts, work) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let file = scripts.path().join("script");
        std::fs::write(&file, script).unwrap();
        let program = Program {
            path: PathBuf::from("/bin/sh"),
            arguments: vec![file.into()],
            environment: vec![("PATH".into(), "/usr/bin:/bin".into())],
            folder: work.keep(),
            readable: vec![scripts.path().to_owned()],
            writable: Vec::new(),
            connect: Vec::new(),
            limits: ProgramLimits { time: Duration::from_secs(30), ..ProgramLimits::default() },
        };
        let launcher = Launcher::by(Path::new(env!("CARGO_BIN_EXE_pratique")));
        Self { launcher, scripts, program }
    }

    async fn run(&self) -> Result<Output, ProgramError> {
        self.launcher.run(&self.program).await
    }

    /// What the script writes, which ends well.
    async fn text(&self) -> String {
        String::from_utf8(self.run().await.unwrap().bytes).unwrap()
    }

    fn work(&self, name: &str) -> PathBuf {
        self.program.folder.join(name)
    }

    /// Waits until the script has written the file `name`, and gives what is in it.
    async fn wait_for(&self, name: &str) -> String {
        loop {
            match std::fs::read_to_string(self.work(name)) {
                Ok(text) if text.ends_with('\n') => return text,
                _ => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.program.folder));
    }
}

/// Waits until no process has one of these numbers, in lines.
async fn gone(numbers: &str) {
    let until = Instant::now() + Duration::from_secs(10);
    for number in numbers.split_whitespace() {
        // One that has ended and that nobody has asked about yet is no process that runs.
        let runs = || {
            let stat = std::fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
            let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
            state.is_some_and(|state| state != 'Z' && state != 'X')
        };
        while runs() {
            assert!(Instant::now() < until, "process {number} still runs");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test]
async fn a_program_that_ends_well_is_heard_whole() {
    let rig = Rig::new("echo out; echo fine >&2; pwd");
    let output = rig.run().await.unwrap();
    let folder = rig.program.folder.canonicalize().unwrap();
    assert_eq!(output.bytes, format!("out\n{}\n", folder.display()).into_bytes());
    assert_eq!(output.said, "fine");
}

#[tokio::test]
async fn it_has_the_environment_that_it_is_given_and_no_other() {
    let mut rig = Rig::new("env | grep -v '^PWD=\\|^_=\\|^SHLVL=\\|^OLDPWD=' | sort");
    rig.program.environment.push(("ONE".into(), "1".into()));
    assert_eq!(rig.text().await, "ONE=1\nPATH=/usr/bin:/bin\n");
}

#[tokio::test]
async fn a_failure_says_what_the_program_said_last() {
    let rig = Rig::new("echo '\x1b[31mno\tdatabase\x1b[0m' >&2; echo half a report; exit 3");
    let error = rig.run().await.unwrap_err();
    assert!(matches!(error, ProgramError::Failed { code: 3, .. }), "{error}");
    assert_eq!(error.to_string(), "/bin/sh ended with 3: no database");
    let rig = Rig::new("kill -TERM $$");
    let error = rig.run().await.unwrap_err();
    assert!(matches!(error, ProgramError::Killed { signal: 15, .. }), "{error}");
}

#[tokio::test]
async fn what_is_not_there_or_cannot_be_run_is_told_by_its_name() {
    let mut rig = Rig::new("");
    for path in [rig.work("none"), rig.program.folder.clone(), rig.scripts.path().join("script")] {
        rig.program.path.clone_from(&path);
        let error = rig.run().await.unwrap_err();
        assert!(matches!(error, ProgramError::NotStarted { .. }), "{error:?}");
        assert!(error.to_string().starts_with(&format!("{} cannot be started", path.display())));
    }
    rig.program.path = PathBuf::from("/bin/sh");
    rig.program.folder.push("none");
    let error = rig.run().await.unwrap_err();
    assert!(matches!(error, ProgramError::NotStarted { .. }), "{error:?}");
    rig.program.folder.pop();
}

#[tokio::test]
async fn one_that_takes_too_long_is_ended_with_all_that_it_started() {
    let script = format!(
        "sleep {LONG} & (sleep {LONG} & echo $! >>p; wait) & echo $! >>p; echo $$ >>p; echo slow >&2; wait"
    );
    let mut rig = Rig::new(&script);
    rig.program.limits.time = Duration::from_secs(2);
    let begun = Instant::now();
    let error = rig.run().await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(20));
    assert!(matches!(error, ProgramError::TookTooLong { .. }), "{error}");
    assert!(error.to_string().ends_with("took longer than 2 s and was ended: slow"), "{error}");
    gone(&rig.wait_for("p").await).await;
}

#[tokio::test]
async fn one_that_nobody_waits_for_any_more_is_ended_with_all_that_it_started() {
    let rig = Rig::new(&format!("sleep {LONG} & echo $! >q; echo $$ >>q; mv q p; wait"));
    let numbers = tokio::select! {
        ended = rig.run() => panic!("{ended:?}"),
        numbers = rig.wait_for("p") => numbers,
    };
    assert_eq!(numbers.lines().count(), 2);
    gone(&numbers).await;
}

#[tokio::test]
async fn what_it_leaves_behind_ends_with_it_and_its_output_is_whole() {
    let rig = Rig::new(&format!("sleep {LONG} & echo $! >p; echo done"));
    let begun = Instant::now();
    assert_eq!(rig.text().await, "done\n");
    assert!(begun.elapsed() < Duration::from_secs(20), "nothing waited for what was left behind");
    gone(&rig.wait_for("p").await).await;
}

#[tokio::test]
async fn nothing_leaves_the_group_that_is_ended() {
    let rig = Rig::new("setsid sh -c 'echo $$ >p' 2>/dev/null; echo $?");
    assert_ne!(rig.text().await, "0\n");
    assert!(!rig.work("p").exists());
}

#[tokio::test]
async fn a_flood_of_output_ends_it() {
    let mut rig = Rig::new(
        "echo $$ >p; echo much >&2; while :; do echo 0123456789012345678901234567890; done",
    );
    rig.program.limits.output = 1_000_000;
    let error = rig.run().await.unwrap_err();
    assert!(matches!(error, ProgramError::TooMuchOutput { limit: 1_000_000, .. }), "{error}");
    gone(&rig.wait_for("p").await).await;
    // As much as it may is whole.
    let mut rig = Rig::new("printf 0123456789");
    rig.program.limits.output = 10;
    assert_eq!(rig.text().await, "0123456789");
    rig.program.limits.output = 9;
    assert!(matches!(rig.run().await.unwrap_err(), ProgramError::TooMuchOutput { .. }));
}

#[tokio::test]
async fn a_flood_of_messages_holds_nothing_up_and_only_its_end_is_kept() {
    let rig = Rig::new(
        "i=0; while [ $i -lt 20000 ]; do echo 0123456789012345678901234567890 >&2; i=$((i+1)); done; echo end >&2",
    );
    let said = rig.run().await.unwrap().said;
    assert!(said.len() <= 4096 && said.ends_with(" end"), "{}", said.len());
}

#[tokio::test]
async fn one_that_closes_its_output_is_waited_for() {
    let rig = Rig::new("exec >&- 2>&-; sleep 1; echo late >p");
    assert_eq!(rig.text().await, "");
    assert_eq!(rig.wait_for("p").await, "late\n");
}

#[tokio::test]
async fn it_writes_to_its_folders_and_nowhere_else() {
    let elsewhere = tempfile::tempdir().unwrap();
    let cache = tempfile::tempdir().unwrap();
    let script = format!(
        "echo x >here && echo 1; (echo x >{out}/a) 2>/dev/null || echo 2; \
         (echo x >{cache}/a) && echo 3; (ln {script} link) 2>/dev/null || echo 4; \
         (ls {out}) 2>/dev/null || echo 5; (: >>{script}) 2>/dev/null || echo 6; \
         echo x >/dev/null && echo 7",
        out = elsewhere.path().display(),
        cache = cache.path().display(),
        script = "/usr/bin/env",
    );
    let mut rig = Rig::new(&script);
    rig.program.writable.push(cache.path().to_owned());
    assert_eq!(rig.text().await, "1\n2\n3\n4\n5\n6\n7\n");
    assert!(rig.work("here").exists() && cache.path().join("a").exists());
    assert!(!elsewhere.path().join("a").exists());
}

#[tokio::test]
async fn what_this_program_knows_is_out_of_its_reach() {
    let secrets = tempfile::tempdir().unwrap();
    let key = secrets.path().join("signing-key.pem");
    std::fs::write(&key, "secret").unwrap();
    let own = std::process::id();
    let script = format!(
        "cat {} /proc/{own}/environ /proc/{own}/maps 2>/dev/null; kill -0 {own} 2>/dev/null || echo none",
        key.display()
    );
    let text = Rig::new(&script).text().await;
    assert_eq!(text, "none\n");
}

#[tokio::test]
async fn it_cannot_run_what_it_wrote() {
    let rig = Rig::new("cp /usr/bin/env e && chmod +x e && ./e 2>/dev/null || echo no");
    assert_eq!(rig.text().await, "no\n");
}

/// Connects to `port` by what every bash has.
fn connecting(port: u16) -> Rig {
    let mut rig = Rig::new(&format!(
        "(exec 3<>/dev/tcp/127.0.0.1/{port}) 2>/dev/null && echo in || echo out"
    ));
    rig.program.path = PathBuf::from("/bin/bash");
    rig
}

#[tokio::test]
async fn without_a_port_it_has_no_network_and_with_one_that_one() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut rig = connecting(port);
    assert_eq!(rig.text().await, "out\n");
    rig.program.connect = vec![port];
    assert_eq!(rig.text().await, "in\n");
    rig.program.connect = vec![port.wrapping_add(1).max(1)];
    assert_eq!(rig.text().await, "out\n");
    // Names are asked for by UDP, which Landlock does not know.
    let mut rig = Rig::new("(exec 3<>/dev/udp/127.0.0.1/53) 2>/dev/null && echo in || echo out");
    rig.program.path = PathBuf::from("/bin/bash");
    assert_eq!(rig.text().await, "out\n");
}

#[tokio::test]
async fn the_kernel_holds_its_bounds() {
    let mut rig =
        Rig::new("ulimit -c; ulimit -n; ulimit -f; dd if=/dev/zero of=big bs=64k count=64");
    rig.program.limits.descriptors = 77;
    rig.program.limits.file = 1 << 20;
    let error = rig.run().await.unwrap_err();
    assert!(matches!(error, ProgramError::Failed { .. } | ProgramError::Killed { .. }), "{error}");
    assert!(std::fs::metadata(rig.work("big")).unwrap().len() <= 1 << 20);

    let mut rig = Rig::new("while :; do :; done");
    rig.program.limits.processor = Duration::from_secs(1);
    let error = rig.run().await.unwrap_err();
    assert!(matches!(error, ProgramError::Killed { signal: 9 | 24, .. }), "{error}");

    let mut rig = Rig::new("x=x; while :; do x=$x$x; done");
    rig.program.limits.memory = 64 << 20;
    let error = rig.run().await.unwrap_err();
    assert!(!matches!(error, ProgramError::TookTooLong { .. }), "{error}");
}

#[tokio::test]
async fn what_cannot_be_confined_here_is_told() {
    let launcher = Launcher::by(Path::new(env!("CARGO_BIN_EXE_pratique")));
    let weaknesses = launcher.weaknesses().await.unwrap();
    let known = weaknesses
        .iter()
        .all(|text| text.starts_with("the kernel") || text.starts_with("no filter"));
    assert!(known, "{weaknesses:?}");
    assert!(Launcher::by(Path::new("/none")).weaknesses().await.is_err());
}
