//! The cross compiler and the emulator, both Debian's. Without them there is nothing to compare
//! with.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{found_or_skipped, tool};

/// How a program is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Build {
    /// `-static`: loaded where it was linked.
    Static,
    /// Static and position-independent, started by `rcrt1.c`.
    StaticPie,
    /// `-static`, with the instructions of Zba, Zbb and Zbs.
    BitManipulation,
}

/// Where the tools are.
pub struct Toolchain {
    compiler: PathBuf,
    emulator: PathBuf,
}

impl Toolchain {
    /// Finds the tools, or says which is missing: as a failure if CI_ORACLES is `require`.
    pub fn find() -> Option<Self> {
        let compiler = tool("riscv64-linux-gnu-gcc")?;
        let emulator = tool("qemu-riscv64")?;
        found_or_skipped("libc.a of libc6-dev-riscv64-cross", |_| static_library(&compiler))?;
        Some(Self { compiler, emulator })
    }

    /// The emulator, with the instructions that [`Build::BitManipulation`] needs.
    pub fn emulator(&self) -> Command {
        let mut command = Command::new(&self.emulator);
        command.args(["-cpu", "rv64,zba=true,zbb=true,zbs=true"]);
        command
    }

    /// Compiles and links a program from beside this file, for this thread alone.
    pub fn build(&self, program: &str, build: Build) -> PathBuf {
        let thread = std::thread::current();
        let test = thread.name().unwrap_or("test").to_owned();
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("glibc").join(test);
        fs::create_dir_all(&directory).unwrap();
        let executable = directory.join(format!("{program}-{build:?}"));
        let mut command = self.compile();
        match build {
            Build::Static => {}
            Build::StaticPie => {
                command.args(["-fPIE", "-nostartfiles"]).arg(self.start_object(&directory));
                // Debian's libc.a holds relocations that do nothing: they count as ones of text.
                command.arg("-Wl,-pie,--no-dynamic-linker,-z,notext");
            }
            Build::BitManipulation => {
                command.arg("-march=rv64gc_zba_zbb_zbs");
            }
        }
        // So that segments share no page, of whatever size.
        command.arg("-Wl,-z,max-page-size=65536");
        command.arg("-static").arg(source(program)).arg("-o").arg(&executable);
        succeed(command.args(["-lm", "-latomic"]));
        executable
    }

    /// What `_start` and its relocation become.
    fn start_object(&self, directory: &Path) -> PathBuf {
        let object = directory.join("rcrt1.o");
        // Nothing here may need what is not relocated yet.
        let flags = ["-fPIE", "-fno-stack-protector", "-fno-jump-tables", "-c"];
        succeed(self.compile().args(flags).arg(source("rcrt1")).arg("-o").arg(&object));
        object
    }

    fn compile(&self) -> Command {
        let mut command = Command::new(&self.compiler);
        command.args(["-std=gnu11", "-O2"]);
        command
    }
}

/// The compiler gives the name alone back if it has no such file.
fn static_library(compiler: &Path) -> Option<PathBuf> {
    let output = Command::new(compiler).arg("-print-file-name=libc.a").output().ok()?;
    let path = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim_end());
    path.is_absolute().then_some(path)
}

fn source(program: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/glibc").join(program).with_extension("c")
}

fn succeed(command: &mut Command) {
    let output = command.output().unwrap();
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}\n{messages}");
}
