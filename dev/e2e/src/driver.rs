//! The WebDriver servers: found, started on a free port, and ended with the last journey that needs them.

use std::env;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::num::NonZeroU16;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::engine::Engine;

/// Name drivers that are not on `PATH`.
const CHROMEDRIVER: &str = "CHROMEDRIVER";
const GECKODRIVER: &str = "GECKODRIVER";
const WEBKIT_DRIVER: &str = "WEBKIT_DRIVER";

/// Starts the driver given as `$0` with its arguments, and ends it with its browsers (the whole process group) when standard
/// input is closed, which happens however this process ends: a test run that is killed leaves nothing behind.
const KEEPER: &str = r#"
    folder=$(mktemp -d) || exit
    export TMPDIR="$folder"
    echo "in the folder $folder"
    PREPARATIONS
    "$0" "$@" &
    exec >&-
    read -r _
    trap : TERM
    kill 0
    wait
    # A browser that is still closing may write to its profile once more.
    rm -rf "$folder" 2>/dev/null || { sleep 1; rm -rf "$folder"; }
"#;

/// geckodriver lets Firefox end with the first page that crashes; a patient's does not.
const FOR_FIREFOX: &str = r#"
    export MOZ_HEADLESS_WIDTH=1400 MOZ_HEADLESS_HEIGHT=1100
    printf '%s\n' '#!/bin/sh' 'exec env -u MOZ_CRASHREPORTER_SHUTDOWN firefox-esr "$@"' > "$folder/firefox"
    chmod +x "$folder/firefox"
"#;

/// A display of its own, so that no other window takes the keyboard, and a home of its own. Without the size of the buttons
/// around it, a page can be as narrow as on a phone.
const FOR_WEBKIT: &str = r#"
    mkfifo "$folder/display"
    Xvfb -displayfd 3 -screen 0 1400x1100x24 -nolisten tcp 3>"$folder/display" >/dev/null 2>&1 &
    read -r number < "$folder/display"
    mkdir -p "$folder/config/gtk-3.0" "$folder/saved"
    echo '* { min-width: 0; min-height: 0; padding: 0; margin: 0; font-size: 1px; -gtk-icon-transform: scale(0); }' \
        > "$folder/config/gtk-3.0/gtk.css"
    cp -r "$folder/config" "$folder/config-still"
    printf '[Settings]\ngtk-enable-animations=0\n' > "$folder/config-still/gtk-3.0/settings.ini"
    echo "XDG_DOWNLOAD_DIR=\"$folder/saved\"" > "$folder/config/user-dirs.dirs"
    cp "$folder/config/user-dirs.dirs" "$folder/config-still/"
    # Our own pages open no windows; a journey does.
    printf '%s\n' '[websettings]' javascript-can-open-windows-automatically=true > "$folder/usual-text"
    { cat "$folder/usual-text"; echo default-font-size=32; } > "$folder/large-text"
    # Without plug-ins for media: looking through all that are installed takes seconds.
    export GST_PLUGIN_SYSTEM_PATH_1_0="$folder" GST_PLUGIN_PATH_1_0="$folder"
    # Pictures by way of a graphics card that is not there cost a sixth of the time.
    export WEBKIT_DISABLE_DMABUF_RENDERER=1
    # Numbers and dates as in the United States, whatever is installed here.
    export LANG=en_US.UTF-8 LC_ALL=en_US.UTF-8
    export DISPLAY=":$number" HOME="$folder" XDG_CONFIG_HOME="$folder/config" XDG_DATA_HOME="$folder/data" \
        XDG_CACHE_HOME="$folder/cache" GSETTINGS_BACKEND=memory GTK_A11Y=none DBUS_SESSION_BUS_ADDRESS=disabled:
"#;

/// A running WebDriver server.
#[derive(Debug)]
pub struct Driver {
    address: String,
    folder: PathBuf,
    keeper: Child,
    leash: Option<ChildStdin>,
}

impl Driver {
    /// The server of Chromium, which all journeys of this process share: started for the first, ended when the last lets go of it.
    pub fn shared() -> Result<Arc<Self>> {
        static SHARED: Mutex<Weak<Driver>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = shared.upgrade() {
            return Ok(running);
        }
        let started = Arc::new(Self::start(Engine::Chromium)?);
        *shared = Arc::downgrade(&started);
        Ok(started)
    }

    /// Starts a server, which must be one for each browser but for Chromium's.
    pub fn start(engine: Engine) -> Result<Self> {
        match engine {
            Engine::Chromium => {
                let program = program(CHROMEDRIVER, "chromedriver")?;
                Self::run(&program, &["--port=0"], "", None)
            }
            Engine::Firefox => {
                let program = program(GECKODRIVER, "geckodriver")?;
                let arguments = [
                    "--port=0",
                    "--websocket-port=0",
                    // Its own pages are where the settings, the network and the history are.
                    "--allow-system-access",
                ];
                Self::run(&program, &arguments, FOR_FIREFOX, None)
            }
            Engine::WebKit => {
                let program = program(WEBKIT_DRIVER, "WebKitWebDriver")?;
                // It cannot take any free port, nor tell its own.
                let port = free_port()?;
                let arguments = [&*format!("--port={port}")];
                Self::run(&program, &arguments, FOR_WEBKIT, Some(port))
            }
        }
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its folder, which goes when it goes.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn run(
        program: &Path,
        arguments: &[&str],
        preparations: &str,
        port: Option<NonZeroU16>,
    ) -> Result<Self> {
        let mut keeper = Command::new("sh")
            .args(["-c", &KEEPER.replace("PREPARATIONS", preparations)])
            .arg(program)
            .args(arguments)
            // Of its own: Ctrl-C is for this process, and the keeper sees it end.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("starting sh, which starts {}", program.display()))?;
        let leash = keeper.stdin.take();
        let stdout = keeper
            .stdout
            .take()
            .context("the driver has no standard output")?;
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        let folder = lines
            .by_ref()
            .find_map(|line| line.strip_prefix("in the folder ").map(PathBuf::from))
            .context("there is no folder for the driver")?;
        let port = match port {
            Some(port) => {
                wait_for(port).with_context(|| format!("starting {}", program.display()))?;
                port
            }
            None => lines
                .by_ref()
                .find_map(|line| port_in(&line))
                .with_context(|| {
                    format!("{} did not say on which port it listens", program.display())
                })?,
        };
        // Whatever it says later is read and dropped, since a full pipe would stop it.
        thread::spawn(move || lines.for_each(drop));
        Ok(Self {
            address: format!("http://127.0.0.1:{port}"),
            folder,
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

/// The port in "ChromeDriver was started successfully on port 41567." or in "Listening on 127.0.0.1:41567"; not the 0 that
/// chromedriver repeats before.
fn port_in(line: &str) -> Option<NonZeroU16> {
    let (_, port) =
        (line.rsplit_once(" on port ")).or_else(|| line.rsplit_once("Listening on 127.0.0.1:"))?;
    port.trim_end_matches('.').parse().ok()
}

fn free_port() -> Result<NonZeroU16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    NonZeroU16::new(listener.local_addr()?.port()).context("no port")
}

fn wait_for(port: NonZeroU16) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match TcpStream::connect((Ipv4Addr::LOCALHOST, port.get())) {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() > deadline => return Err(error.into()),
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
}

fn program(variable: &str, name: &str) -> Result<PathBuf> {
    if let Some(named) = env::var_os(variable) {
        let named = PathBuf::from(named);
        if !named.is_file() {
            bail!("{variable} names {}, which is not a file", named.display());
        }
        return Ok(named);
    }
    program_on_path(name).with_context(|| {
        format!("{name} is not on PATH. Run `cargo xtask setup`, or let {variable} name it")
    })
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
        let announced = port_in("1795374725690\tgeckodriver\tINFO\tListening on 127.0.0.1:35801");
        assert_eq!(announced.map(NonZeroU16::get), Some(35801));
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
