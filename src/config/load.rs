//! From files, a text or two words of the command line to a settled configuration.

use std::{
    fs, io,
    io::Read,
    net::SocketAddr,
    path::{Path, PathBuf},
    thread,
};

use super::{
    Config,
    expand::Outside,
    lint, machine,
    merge::merge,
    problem::{Place, Problem, Problems, Source},
    raw, resolve,
    shape::{OneOrMany, OrOff},
    text::{AdminAddress, Backend, UpstreamText},
    tree::{self, Data, Entry, Node},
    value::{Placed, Text, Value},
};

/// A configuration that can be run.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What to run on.
    pub config: Config,
    /// What its writer may want to think about; no errors.
    pub warnings: Problems,
    /// The files that were read, the main one first.
    pub files: Vec<PathBuf>,
}

/// Reads a file and the `conf.d/*.toml` beside it, in the order of their names.
///
/// Everything that is wrong in any of them is in the error.
pub fn load(path: &Path) -> Result<Loaded, Problems> {
    let mut problems = Problems::new();
    let mut texts = Vec::new();
    let mut files = vec![path.to_owned()];
    files.extend(conf_d(path, &mut problems));
    for file in &files {
        match read_text(file) {
            Ok(text) => texts.push(Source { name: file.display().to_string(), directory: directory_of(file), text }),
            Err(error) => problems.push(could_not_read(file, &error)),
        }
    }
    if problems.errors() > 0 {
        return Err(problems);
    }
    let (config, warnings) = from_sources(texts, &world(&|name| std::env::var(name).ok()))?;
    Ok(Loaded { config, warnings, files })
}

/// Reads a text as if it were the file `name`, with these environment variables.
///
/// Files that it names are looked at; the answer carries the warnings.
pub fn from_text(
    name: &str,
    text: &str,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<(Config, Problems), Problems> {
    from_texts(&[(name.to_owned(), text.to_owned())], &world(&variable))
}

/// Reads texts with their names, the main file's first, asking nothing of the world but `outside`.
pub fn from_texts(texts: &[(String, String)], outside: &Outside<'_>) -> Result<(Config, Problems), Problems> {
    let source = |(name, text): &(String, String)| Source {
        name: name.clone(),
        directory: Path::new(name).parent().unwrap_or(Path::new("")).to_owned(),
        text: text.clone(),
    };
    from_sources(texts.iter().map(source).collect(), outside)
}

fn from_sources(sources: Vec<Source>, outside: &Outside<'_>) -> Result<(Config, Problems), Problems> {
    let mut problems = Problems::new();
    let mut entries: Vec<Entry> = Vec::new();
    let mut sound = true;
    for source in sources {
        let source = problems.add_source(source);
        let (more, is_sound) = tree::parse(source, outside, &mut problems);
        sound &= is_sound;
        merge(&mut entries, more, &mut problems);
    }
    let root = Node { place: Place { source: 0, start: 0, end: 0 }, data: Data::Table(entries) };
    match raw::File::read(&root, &mut problems) {
        // What was lost to a syntax error must not look like something that is missing.
        Some(file) if sound => settle(&file, outside, problems),
        _ => Err(problems),
    }
}

/// The configuration of `run --listen A --upstream B`, all else by default.
pub fn minimal(listen: &str, upstream: &str) -> Result<Config, Problems> {
    minimal_with_admin(listen, upstream, None)
}

/// The same with the admin listener elsewhere, or `off`.
pub fn minimal_with_admin(listen: &str, upstream: &str, admin: Option<&str>) -> Result<Config, Problems> {
    let mut problems = Problems::new();
    let listen = word("--listen", listen, &mut problems).map(|address| OneOrMany(vec![Placed::built_in(address)]));
    let upstream = word::<Backend>("--upstream", upstream, &mut problems)
        .map(|backend| UpstreamText { text: upstream.to_owned(), backend: Ok(backend) });
    let mut file = raw::File {
        listen: listen.map(Placed::built_in),
        upstream: upstream.map(Placed::built_in),
        ..raw::File::default()
    };
    if let Some(admin) = admin {
        let address =
            if admin == super::shape::OFF { None } else { word::<AdminAddress>("--admin", admin, &mut problems) };
        file.admin.value.listen = Placed::built_in(OrOff(address));
    }
    if problems.errors() > 0 {
        return Err(problems);
    }
    settle(&file, &world(&|_| None), problems).map(|(config, _)| config)
}

/// Reads an address of the command line as a configuration file would; the error names the option.
pub fn address(option: &str, text: &str) -> Result<SocketAddr, Problems> {
    let mut problems = Problems::new();
    word::<AdminAddress>(option, text, &mut problems).map(|address| address.0).ok_or(problems)
}

/// This machine, with these environment variables.
fn world<'o>(variable: &'o dyn Fn(&str) -> Option<String>) -> Outside<'o> {
    Outside {
        variable,
        file: &read_file,
        directory: &machine::directory,
        memory: &machine::memory,
        open_files: &machine::open_files,
    }
}

fn settle(file: &raw::File, outside: &Outside<'_>, mut problems: Problems) -> Result<(Config, Problems), Problems> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let config = resolve::resolve(file, cores, outside, &mut problems);
    if problems.errors() > 0 {
        return Err(problems);
    }
    lint::lint(file, &config, outside, &mut problems);
    Ok((config, problems))
}

fn word<T: Text>(option: &str, text: &str, problems: &mut Problems) -> Option<T> {
    match T::parse(text, Path::new("")) {
        Ok(value) => Some(value),
        Err(wrong) => {
            let label = if wrong.label.is_empty() { format!("expected {}", T::kind()) } else { wrong.label };
            problems.push(Problem::error(None, format!("`{option}`: {}", wrong.message)).hint(label));
            None
        }
    }
}

/// The files of `conf.d` beside the main file, by name.
fn conf_d(main: &Path, problems: &mut Problems) -> Vec<PathBuf> {
    let directory = main.parent().unwrap_or(Path::new("")).join("conf.d");
    let listing = match fs::read_dir(&directory) {
        Ok(listing) => listing,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Vec::new();
        }
        Err(error) => {
            problems.push(could_not_read(&directory, &error));
            return Vec::new();
        }
    };
    let mut files = Vec::new();
    for entry in listing {
        match entry {
            Ok(entry) => files.push(entry.path()),
            Err(error) => problems.push(could_not_read(&directory, &error)),
        }
    }
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    files
}

/// Where a file's relative paths start. Absolute, so that a printed configuration means the same anywhere.
fn directory_of(file: &Path) -> PathBuf {
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // A directory that the system can't complete stays as it is: the same files are found.
    std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned())
}

fn could_not_read(path: &Path, error: &io::Error) -> Problem {
    Problem::error(None, format!("could not read `{}`: {error}", path.display()))
}

fn read_text(path: &Path) -> io::Result<String> {
    String::from_utf8(read_file(path)?).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not UTF-8"))
}

/// A whole file, unless it is larger than any that a configuration means.
fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {FILE_BYTES_MAX} bytes")));
    }
    Ok(bytes)
}

/// A configuration, a certificate chain or a bundle of authorities.
const FILE_BYTES_MAX: u64 = 16 << 20;
