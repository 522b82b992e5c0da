//! The WebDriver server: found, started on a free port, and ended with the last journey that needs it.

use std::env;
use std::io::{BufRead, BufReader};
use std::num::NonZeroU16;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;

use anyhow::{Context, Result, bail};

/// Names a chromedriver that is not on `PATH`.
const CHROMEDRIVER: &str = "CHROMEDRIVER";

/// Starts the driver given as `$0`, and ends it with its browsers (the whole process group) when standard input is closed,
/// which happens however this process ends: a test run that is killed leaves nothing behind.
const KEEPER: &str = r#"
    folder=$(mktemp -d) || exit
    TMPDIR=$folder "$0" --port=0 &
    exec >&-
    read -r _
    trap : TERM
    kill 0
    wait
    # A browser that is still closing may write to its profile once more.
    rm -rf "$folder" 2>/dev/null || { sleep 1; rm -rf "$folder"; }
"#;

/// A running WebDriver server.
#[derive(Debug)]
pub struct Driver {
    address: String,
    keeper: Child,
    leash: Option<ChildStdin>,
}

impl Driver {
    /// The server that all journeys of this process share: started for the first, ended when the last lets go of it.
    pub fn shared() -> Result<Arc<Self>> {
        static SHARED: Mutex<Weak<Driver>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = shared.upgrade() {
            return Ok(running);
        }
        let started = Arc::new(Self::start(&chromedriver()?)?);
        *shared = Arc::downgrade(&started);
        Ok(started)
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    fn start(program: &Path) -> Result<Self> {
        let mut keeper = Command::new("sh")
            .args(["-c", KEEPER])
            .arg(program)
            // Of its own: Ctrl-C is for this process, and the keeper sees it end.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("starting sh, which starts chromedriver")?;
        let leash = keeper.stdin.take();
        let stdout = keeper
            .stdout
            .take()
            .context("chromedriver has no standard output")?;
        let mut lines = BufReader::new(stdout).lines();
        let port = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| port_in(&line))
            .with_context(|| {
                format!("{} did not say on which port it listens", program.display())
            })?;
        // Whatever it says later is read and dropped, since a full pipe would stop it.
        thread::spawn(move || lines.for_each(drop));
        Ok(Self {
            address: format!("http://localhost:{port}"),
            keeper,
            leash,
        })
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        drop(self.leash.take());
        // Nobody is left to tell if this fails.
        let _ = self.keeper.wait();
    }
}

/// The port in "ChromeDriver was started successfully on port 41567."; not the 0 that it repeats before.
fn port_in(line: &str) -> Option<NonZeroU16> {
    line.rsplit_once(" on port ")?
        .1
        .trim_end_matches('.')
        .parse()
        .ok()
}

fn chromedriver() -> Result<PathBuf> {
    if let Some(named) = env::var_os(CHROMEDRIVER) {
        let named = PathBuf::from(named);
        if !named.is_file() {
            bail!(
                "{CHROMEDRIVER} names {}, which is not a file",
                named.display()
            );
        }
        return Ok(named);
    }
    program_on_path("chromedriver").context(
        "chromedriver is not on PATH. Run `cargo xtask setup`, or let CHROMEDRIVER name it",
    )
}

/// The file that a command of this name runs.
fn program_on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_is_read_from_the_line_that_announces_it() {
        let announced = port_in("ChromeDriver was started successfully on port 41567.");
        assert_eq!(announced.map(NonZeroU16::get), Some(41567));
        assert_eq!(
            port_in("Starting ChromeDriver 156.0.8078.79 on port 0"),
            None
        );
        assert_eq!(
            port_in("Please see https://chromedriver.chromium.org/"),
            None
        );
    }
}
