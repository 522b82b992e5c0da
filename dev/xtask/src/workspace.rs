//! The repository on this machine, and how programs are run in it.

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Everything here fails with a text for the person at the terminal.
pub(crate) type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// The repository's root, and the search path that includes the tools which `setup` installs.
pub(crate) struct Workspace {
    root: PathBuf,
    search_path: OsString,
}

impl Workspace {
    pub(crate) fn locate() -> Result<Workspace> {
        let manifest_dir = env::var_os("CARGO_MANIFEST_DIR")
            .map(PathBuf::from)
            .unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
        let root = manifest_dir
            .join("../..")
            .canonicalize()
            .map_err(|error| format!("the repository's root cannot be found: {error}"))?;
        Workspace::at(root)
    }

    /// The repository at `root`.
    pub(crate) fn at(root: PathBuf) -> Result<Workspace> {
        // The pinned optimiser goes before any other one; what cargo installs must be found even by a shell that was
        // set up without it.
        let mut folders = vec![root.join("target/tools/node_modules/.bin")];
        if let Some(home) = cargo_home() {
            folders.push(home.join("bin"));
        }
        folders.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
        let search_path = env::join_paths(folders)?;
        Ok(Workspace { root, search_path })
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    pub(crate) fn read(&self, relative: &str) -> Result<String> {
        let path = self.path(relative);
        fs::read_to_string(&path)
            .map_err(|error| format!("{} cannot be read: {error}", path.display()).into())
    }

    /// Where a program of this name stands, if it is installed.
    pub(crate) fn find_program(&self, name: &str) -> Option<PathBuf> {
        env::split_paths(&self.search_path)
            .map(|folder| folder.join(name))
            .find(|path| path.is_file())
    }

    /// A command that runs at the root and finds the project's tools.
    pub(crate) fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(&self.root)
            .env("PATH", &self.search_path);
        // What cargo told this program about its own package would make some build scripts run again.
        for (name, _) in env::vars_os() {
            let name = name.to_string_lossy();
            if [
                "CARGO_PKG_",
                "CARGO_MANIFEST_",
                "CARGO_BIN_",
                "CARGO_CRATE_",
            ]
            .iter()
            .any(|prefix| name.starts_with(prefix))
            {
                command.env_remove(&*name);
            }
        }
        command
    }
}

pub(crate) fn cargo_home() -> Option<PathBuf> {
    env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::home_dir().map(|home| home.join(".cargo")))
}

/// Runs a command whose output the reader should see; fails unless it succeeds.
pub(crate) fn run(command: &mut Command) -> Result {
    announce(command);
    let status = command
        .status()
        .map_err(|error| format!("{} cannot be started: {error}", program_name(command)))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{} ended with {status}", described(command)).into())
    }
}

/// Runs a command, shows its standard output while it comes, and hands every line of it to `on_line`. Tells whether
/// the command succeeded.
pub(crate) fn run_reading(command: &mut Command, mut on_line: impl FnMut(&str)) -> Result<bool> {
    announce(command);
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{} cannot be started: {error}", program_name(command)))?;
    let output = child.stdout.take().ok_or("a child without output")?;
    let mut reader = BufReader::new(output);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        let mut terminal = std::io::stdout().lock();
        terminal.write_all(&line)?;
        terminal.flush()?;
        on_line(&String::from_utf8_lossy(&line));
        line.clear();
    }
    Ok(child.wait()?.success())
}

/// What a command prints when it reads `input`; fails, with what it complained about on the terminal, unless it
/// succeeds.
pub(crate) fn output_given(command: &mut Command, input: &str) -> Result<String> {
    announce(command);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{} cannot be started: {error}", program_name(command)))?;
    // Dropped at once: the end of the input is what such a command waits for before it answers.
    child
        .stdin
        .take()
        .ok_or("a child without input")?
        .write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        return Err(format!("{} ended with {}", program_name(command), output.status).into());
    }
    String::from_utf8(output.stdout)
        .map_err(|_| format!("{} did not print text", program_name(command)).into())
}

/// What a command prints, silently; `None` if it cannot be started or fails.
pub(crate) fn output_of(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Writes a file and the folders above it.
pub(crate) fn write(path: &Path, content: impl AsRef<[u8]>) -> Result {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, content)
        .map_err(|error| format!("{} cannot be written: {error}", path.display()).into())
}

fn announce(command: &Command) {
    eprintln!("$ {}", described(command));
}

fn described(command: &Command) -> String {
    let mut words = vec![program_name(command)];
    words.extend(
        command
            .get_args()
            .map(|argument| argument.to_string_lossy().into_owned()),
    );
    words.join(" ")
}

fn program_name(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}
