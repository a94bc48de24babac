//! `cargo xtask guests`: builds `wasm-examples/` into what is committed under `prebuilt/`.
//!
//! Two ways, by what the machine has (see [`Route`]). `--check` builds beside the committed files and
//! compares: the worlds always, the bytes only where the toolchain is the recorded one, because
//! no two toolchains give the same.

mod world;

use crate::run::{announce, cargo, root, step, target_dir};
use anyhow::{Context as _, bail, ensure};
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER,
};

/// Committed guests stay small: they are cloned by everyone.
const GUEST_BYTES_MAX: usize = 300_000;
/// The guest that is built a second time, as a preview 1 core module, for the tests.
const PREVIEW1_GUEST: &str = "report";
/// The exit code for "there is no wasm toolchain", so that a script can tell it from a failure.
const NO_TOOLCHAIN: u8 = 3;
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_LIBC: &str = "/usr/lib/wasm32-wasi";
const PREVIEW1: &str = "wasm32-wasip1";
const PREVIEW2: &str = "wasm32-wasip2";

/// Where guests come from.
enum Route {
    /// The toolchain has the wasm targets; it makes components by itself.
    Rustup,
    /// Debian's `rustc-web` builds std from source and core modules; we make the components.
    Debian { linker: String },
}

/// Files by name, as they stand under `prebuilt/`.
type Guests = BTreeMap<String, Vec<u8>>;

pub(crate) fn run(check: bool) -> anyhow::Result<ExitCode> {
    let Some(route) = Route::find() else {
        announce(
            "no wasm toolchain: run `rustup target add wasm32-wasip1 wasm32-wasip2`, or on Debian \
             `apt-get install --no-install-recommends rustc-web cargo-web rust-web-src lld-22 wasi-libc`",
        );
        return Ok(ExitCode::from(NO_TOOLCHAIN));
    };
    let toolchain = route.toolchain()?;
    announce(&format!("guests are built by {toolchain}"));
    let guests = build(&route)?;
    for (name, wasm) in &guests {
        ensure!(
            wasm.len() < GUEST_BYTES_MAX,
            "{name} has {} bytes, more than {GUEST_BYTES_MAX}",
            wasm.len()
        );
    }
    if check {
        compare(&guests, &toolchain)?;
    } else {
        write(&guests, &toolchain)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn prebuilt() -> PathBuf {
    root().join("wasm-examples/prebuilt")
}

impl Route {
    fn find() -> Option<Self> {
        let has = |target: &str| {
            let output = Command::new("rustc")
                .args(["--print", "target-libdir", "--target", target])
                .current_dir(root())
                .output();
            output.is_ok_and(|output| {
                let dir = String::from_utf8_lossy(&output.stdout);
                output.status.success() && Path::new(dir.trim()).is_dir()
            })
        };
        if has(PREVIEW1) && has(PREVIEW2) {
            return Some(Self::Rustup);
        }
        let source = Path::new("/usr/lib/rustlib/src/rust/library/std/src/lib.rs");
        let start = Path::new(DEBIAN_LIBC).join("crt1-command.o");
        let complete = [
            Path::new(DEBIAN_RUSTC),
            Path::new(DEBIAN_CARGO),
            source,
            &start,
        ]
        .iter()
        .all(|path| path.exists());
        let names = fs::read_dir("/usr/bin").ok()?;
        let names: Vec<String> = names
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect();
        let linker = newest_linker(names.iter().map(String::as_str))?.to_owned();
        complete.then_some(Self::Debian { linker })
    }

    fn rustc(&self) -> &'static str {
        match self {
            Self::Rustup => "rustc",
            Self::Debian { .. } => DEBIAN_RUSTC,
        }
    }

    /// The line that names the toolchain; equal lines mean equal bytes.
    fn toolchain(&self) -> anyhow::Result<String> {
        let output = Command::new(self.rustc())
            .arg("--version")
            .current_dir(root())
            .output()
            .with_context(|| format!("cannot start {}", self.rustc()))?;
        ensure!(output.status.success(), "{} --version failed", self.rustc());
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// A build of the guests for one target.
    fn cargo(&self, target: &str) -> Command {
        let mut flags = remap_flags();
        let mut command = match self {
            Self::Rustup => cargo(),
            Self::Debian { linker } => {
                let mut command = Command::new(DEBIAN_CARGO);
                command
                    .env("RUSTC", DEBIAN_RUSTC)
                    .env("RUSTC_BOOTSTRAP", "1")
                    .env("CARGO_TARGET_WASM32_WASIP1_LINKER", linker);
                flags.push("-Clink-self-contained=no".into());
                flags.push(format!("-Lnative={DEBIAN_LIBC}").into());
                flags.push(format!("-Clink-arg={DEBIAN_LIBC}/crt1-command.o").into());
                command
            }
        };
        command
            .current_dir(root().join("wasm-examples"))
            .env("CARGO_TARGET_DIR", target_dir().join("guests"))
            .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f".as_ref()))
            .env_remove("RUSTFLAGS")
            .args(["build", "--locked", "--release", "--target", target]);
        if matches!(self, Self::Debian { .. }) {
            command.arg("-Zbuild-std=std,panic_abort");
        }
        command
    }
}

/// The linker of the highest version, as `wasm-ld-22`.
fn newest_linker<'a>(names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    names
        .filter_map(|name| {
            let version = name.strip_prefix("wasm-ld-")?.parse::<u32>().ok()?;
            Some((version, name))
        })
        .max()
        .map(|(_, name)| name)
}

/// Flags that keep this machine's paths out of the guests: builds are equal in every directory.
fn remap_flags() -> Vec<OsString> {
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| {
            let home = std::env::var_os("HOME")?;
            Some(Path::new(&home).join(".cargo"))
        });
    let pairs = [
        (Some(root().join("wasm-examples")), "/wasm-examples"),
        (Some(target_dir()), "/target"),
        (home, "/cargo"),
    ];
    pairs
        .into_iter()
        .filter_map(|(from, to)| {
            let mut flag = OsString::from("--remap-path-prefix=");
            flag.push(from?);
            flag.push("=");
            flag.push(to);
            Some(flag)
        })
        .collect()
}

fn build(route: &Route) -> anyhow::Result<Guests> {
    let target = match route {
        Route::Rustup => PREVIEW2,
        Route::Debian { .. } => PREVIEW1,
    };
    let mut command = route.cargo(target);
    step("build the guests", command.arg("--workspace"))?;
    let built = target_dir().join("guests").join(target).join("release");
    let mut guests = Guests::new();
    for name in names()? {
        let file = built.join(format!("{name}.wasm"));
        let wasm = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let component = match route {
            Route::Rustup => wasm,
            Route::Debian { .. } => {
                componentize(&wasm).with_context(|| format!("cannot make {name} a component"))?
            }
        };
        guests.insert(format!("{name}.wasm"), component);
    }
    let mut command = route.cargo(PREVIEW1);
    command.args(["--package", PREVIEW1_GUEST, "--no-default-features"]);
    step("build the preview 1 module", &mut command)?;
    let built = target_dir().join("guests").join(PREVIEW1).join("release");
    let module = fs::read(built.join(format!("{PREVIEW1_GUEST}.wasm")))?;
    guests.insert(format!("{PREVIEW1_GUEST}-preview1.wasm"), module);
    Ok(guests)
}

/// Every crate under `wasm-examples/`.
fn names() -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root().join("wasm-examples"))? {
        let entry = entry?;
        if entry.path().join("src/main.rs").exists() {
            names.extend(entry.file_name().into_string());
        }
    }
    names.sort();
    Ok(names)
}

/// A component out of a core module, whose preview 1 imports the stock adapter serves.
fn componentize(module: &[u8]) -> anyhow::Result<Vec<u8>> {
    wit_component::ComponentEncoder::default()
        .validate(true)
        .module(module)?
        .adapter(
            WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME,
            WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER,
        )?
        .encode()
}

fn write(guests: &Guests, toolchain: &str) -> anyhow::Result<()> {
    let dir = prebuilt();
    if dir.exists() {
        fs::remove_dir_all(&dir)?;
    }
    fs::create_dir_all(&dir)?;
    for (name, wasm) in guests {
        fs::write(dir.join(name), wasm)?;
        announce(&format!("{name}: {} bytes", wasm.len()));
    }
    fs::write(dir.join("SHA256SUMS"), checksums(guests))?;
    fs::write(dir.join("TOOLCHAIN"), format!("{toolchain}\n"))?;
    Ok(())
}

/// As `sha256sum` prints and checks them.
fn checksums(guests: &Guests) -> String {
    let mut text = String::new();
    for (name, wasm) in guests {
        for byte in Sha256::digest(wasm) {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        let _ = writeln!(text, "  {name}");
    }
    text
}

fn compare(built: &Guests, toolchain: &str) -> anyhow::Result<()> {
    let dir = prebuilt();
    let recorded = fs::read_to_string(dir.join("TOOLCHAIN"))
        .context("nothing is committed under wasm-examples/prebuilt")?;
    let mut committed = Guests::new();
    for name in built.keys() {
        let wasm = fs::read(dir.join(name)).with_context(|| format!("{name} is not committed"))?;
        committed.insert(name.clone(), wasm);
    }
    ensure!(
        fs::read_to_string(dir.join("SHA256SUMS"))? == checksums(&committed),
        "SHA256SUMS does not fit the committed files"
    );
    for (name, wasm) in built {
        let (new, old) = (world::of(wasm)?, world::of(&committed[name])?);
        ensure!(
            new.agrees(&old),
            "the world of {name} has changed; built {new:?}, committed {old:?}"
        );
    }
    if recorded.trim() != toolchain {
        announce("worlds agree; bytes are not compared, the toolchain is another one");
        return Ok(());
    }
    let differing: Vec<&str> = built
        .iter()
        .filter(|(name, wasm)| committed[*name] != **wasm)
        .map(|(name, _)| name.as_str())
        .collect();
    if !differing.is_empty() {
        bail!(
            "{} differ from their source; run `cargo xtask guests` and commit",
            differing.join(", ")
        );
    }
    announce("worlds and bytes agree with what is committed");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_newest_linker() {
        let names = ["wasm-ld-9", "wasm-ld-22", "wasm-ld", "ld", "wasm-ld-19"];
        assert_eq!(newest_linker(names.into_iter()), Some("wasm-ld-22"));
        assert_eq!(newest_linker(["ld"].into_iter()), None);
    }

    #[test]
    fn what_is_committed_is_whole() {
        let dir = prebuilt();
        let mut committed = Guests::new();
        for name in names().unwrap() {
            let name = format!("{name}.wasm");
            let wasm = fs::read(dir.join(&name)).unwrap();
            assert!(wasm.len() < GUEST_BYTES_MAX, "{name}");
            committed.insert(name, wasm);
        }
        let name = format!("{PREVIEW1_GUEST}-preview1.wasm");
        committed.insert(name.clone(), fs::read(dir.join(&name)).unwrap());
        let sums = fs::read_to_string(dir.join("SHA256SUMS")).unwrap();
        assert_eq!(sums, checksums(&committed));
        for (name, wasm) in &committed {
            let paths = [b"/root/".as_slice(), b"/home/".as_slice()];
            for path in paths {
                let found = wasm.windows(path.len()).any(|window| window == path);
                assert!(!found, "{name} names a path of the machine it was built on");
            }
        }
    }
}
