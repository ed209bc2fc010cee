//! The descriptions that come with the program, in the order of their years, and others in files.

use std::fs;
use std::path::Path;

use crate::description::Description;
use crate::error::DescriptionError;
use crate::size::compact;

macro_rules! machines {
    ($($name:literal),* $(,)?) => {
        /// The names of the descriptions that come with the program.
        pub const NAMES: &[&str] = &[$($name),*];
        const TEXTS: &[&str] =
            &[$(include_str!(concat!("../../../machines/", $name, ".toml"))),*];
    };
}

machines![
    "vax-11-780",
    "i386",
    "r3000",
    "ppc604",
    "pentium-pro",
    "k8",
    "nehalem",
    "skylake",
    "cortex-a76",
    "c910",
    "u74",
    "golden-cove",
    "zen4",
];

/// The longest description that is read.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The description called `name`, one of [`NAMES`]; `None` if there is none.
///
/// # Errors
/// What is wrong with it, which the tests rule out.
pub fn built_in(name: &str) -> Option<Result<Description, DescriptionError>> {
    let index = NAMES.iter().position(|&known| known == name)?;
    Some(Description::parse(&format!("machines/{name}.toml"), TEXTS[index]))
}

/// The description of that name, or in the file of that name. A name with a slash or a dot is that
/// of a file.
///
/// # Errors
/// What is wrong with the name, or where the description is wrong.
pub fn load(name: &str) -> Result<Description, DescriptionError> {
    if let Some(description) = built_in(name) {
        return description;
    }
    if !name.contains(['/', '.']) {
        let names = NAMES.join(", ");
        let problem = format!("no such machine: give one of {names}, or a file, as ./my.toml");
        return Err(DescriptionError::unread(name, problem));
    }
    Description::parse(name, &read(name)?)
}

fn read(name: &str) -> Result<String, DescriptionError> {
    let refuse = |problem: String| DescriptionError::unread(name, problem);
    let expected = "give a TOML file (docs/machines.md)";
    let path = Path::new(name);
    let data = fs::metadata(path).map_err(|error| {
        let text = error.to_string().to_lowercase();
        let plain = text.split(" (os error").next().unwrap_or_default();
        refuse(format!("{plain}; {expected}"))
    })?;
    if !data.is_file() {
        return Err(refuse(format!("is not a regular file; {expected}")));
    }
    if data.len() > FILE_BYTES_MAX {
        let most = compact(FILE_BYTES_MAX);
        return Err(refuse(format!("is larger than {most}; {expected}")));
    }
    let bytes = fs::read(path).map_err(|error| refuse(format!("{error}; {expected}")))?;
    String::from_utf8(bytes).map_err(|_| refuse(format!("is not UTF-8; {expected}")))
}
