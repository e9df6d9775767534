//! The command line: words, help, examples.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;

/// The environment variable that stands in for `--config`.
pub(super) const CONFIG_VARIABLE: &str = "TIDEGATE_CONFIG";

/// Where the admin listener is by default.
pub(super) const DEFAULT_ADMIN: &str = "127.0.0.1:9090";

/// A reverse proxy that keeps HTTP answers and holds WebSockets open.
#[derive(Debug, Parser)]
#[command(
    name = "tidegate",
    version,
    about,
    long_about = "A reverse proxy for web apps: a cache for what can be kept, tunnels for what stays open (WebSockets), and a \
                  plain view of both.",
    after_help = "Exit codes: 0 all is well, 1 the thing failed or has problems, 2 the command line is wrong.",
    after_long_help = EXAMPLES,
    arg_required_else_help = true,
    max_term_width = 100
)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the gateway until SIGTERM or SIGINT
    #[command(after_help = RUN_EXAMPLES)]
    Run(Run),
    /// Tell everything that is wrong with a configuration, and what would be right
    #[command(after_help = CHECK_EXAMPLES)]
    Check(Check),
    /// Show what the gateway does: a small app, the gateway before it, and a page that compares
    #[command(after_help = DEMO_EXAMPLES, mut_arg("log_level", |level| level.default_value("warn")))]
    Demo(Demo),
    /// Ask a running gateway whether it is ready; for a container's HEALTHCHECK
    #[command(after_help = HEALTHCHECK_EXAMPLES)]
    Healthcheck(Healthcheck),
    /// Take answers out of a running gateway's cache
    #[command(after_help = PURGE_EXAMPLES)]
    Purge(Purge),
    /// Tell what becomes of a request: route, backend, cache key, and whether its answer is stored
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain(Explain),
    /// Show what is open in a running gateway: WebSockets, and HTTP answers of some age
    #[command(after_help = CONNECTIONS_EXAMPLES)]
    Connections(Connections),
    /// Close connections of a running gateway, with a code and a reason
    #[command(after_help = KICK_EXAMPLES)]
    Kick(Kick),
    /// Take a route, an upstream or a server of a running gateway out of service, and back: its tunnels go one after
    /// another, the longest silent first
    #[command(after_help = DRAIN_EXAMPLES)]
    Drain(Drain),
    /// Print the version
    Version(Version),
    /// Print completions for a shell
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions(Completions),
    /// Print the manual page
    #[command(after_help = MAN_EXAMPLES)]
    Man(Man),
    /// Print the JSON Schema of the configuration file, for editors
    #[command(after_help = SCHEMA_EXAMPLES)]
    Schema,
    /// Print every key of the configuration file with its meaning and default, as Markdown
    #[command(hide = true)]
    Reference,
}

/// `tidegate run`.
#[derive(Debug, Args)]
pub(super) struct Run {
    /// The configuration file; conf.d/*.toml beside it is read too [env: TIDEGATE_CONFIG]
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with_all = ["listen", "upstream", "admin"])]
    pub(super) config: Option<PathBuf>,
    /// Without a file: where to listen
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8080", requires = "upstream")]
    pub(super) listen: String,
    /// Without a file: the app's address
    #[arg(long, value_name = "ADDRESS")]
    pub(super) upstream: Option<String>,
    /// Without a file: where metrics and health are, or `off` [default: 127.0.0.1:9090]
    #[arg(long, value_name = "ADDRESS", requires = "upstream")]
    pub(super) admin: Option<String>,
    #[command(flatten)]
    pub(super) log: Log,
}

/// `tidegate check`.
#[derive(Debug, Args)]
pub(super) struct Check {
    /// The configuration file [env: TIDEGATE_CONFIG]
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) file: Option<PathBuf>,
    /// The same, written as for `run`
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "file")]
    pub(super) config: Option<PathBuf>,
    /// Print every setting as it would be run, defaults, variables and `file:` secrets filled in
    #[arg(long)]
    pub(super) print_effective: bool,
    /// For people or for programs
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(super) format: Format,
}

/// For whom something is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Source lines with carets
    Text,
    /// One object
    Json,
}

/// `tidegate demo`.
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Where the demo's page is
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub(super) listen: String,
    /// Where metrics and health are
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9090")]
    pub(super) admin: String,
    #[command(flatten)]
    pub(super) log: Log,
}

/// `tidegate healthcheck`.
#[derive(Debug, Args)]
pub(super) struct Healthcheck {
    #[command(flatten)]
    pub(super) admin: AdminAt,
}

/// Where a running gateway's admin listener is.
#[derive(Debug, Args)]
pub(super) struct AdminAt {
    /// The admin listener [default: the configuration's, else 127.0.0.1:9090]
    #[arg(long, value_name = "ADDRESS")]
    pub(super) admin: Option<String>,
    /// The configuration file that names the admin listener [env: TIDEGATE_CONFIG]
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "admin")]
    pub(super) config: Option<PathBuf>,
}

/// `tidegate purge`.
#[derive(Debug, Args)]
pub(super) struct Purge {
    #[command(flatten)]
    pub(super) what: Purged,
    /// Keep the answers as stale, for the time in which the backend is asked or fails
    #[arg(long)]
    pub(super) soft: bool,
    /// Print an object
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) admin: AdminAt,
}

/// What is purged: one of these.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Purged {
    /// URLs; without a scheme both http and https
    #[arg(value_name = "URL", value_hint = ValueHint::Url)]
    pub(super) url: Vec<String>,
    /// Every URL that begins like this, such as https://example.com/blog/
    #[arg(long, value_name = "URL")]
    pub(super) prefix: Vec<String>,
    /// Answers with this tag in Cache-Tag, Surrogate-Key or xkey
    #[arg(long, value_name = "TAG")]
    pub(super) tag: Vec<String>,
    /// Answers of an origin in this group (Cache-Groups)
    #[arg(long, num_args = 2, value_names = ["ORIGIN", "NAME"])]
    pub(super) group: Option<Vec<String>>,
    /// Everything
    #[arg(long)]
    pub(super) all: bool,
}

/// `tidegate explain`.
#[derive(Debug, Args)]
pub(super) struct Explain {
    /// The method
    #[arg(value_name = "METHOD")]
    pub(super) method: String,
    /// The whole URL
    #[arg(value_name = "URL", value_hint = ValueHint::Url)]
    pub(super) url: String,
    /// A field of the request, such as 'Accept-Language: de'
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE")]
    pub(super) fields: Vec<String>,
    /// The head of an answer, as `curl -sI` prints it: would it be stored? `-` reads standard input
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) response: Option<PathBuf>,
    /// The configuration file to explain by [env: TIDEGATE_CONFIG]
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "live")]
    pub(super) config: Option<PathBuf>,
    /// Ask the gateway that runs behind this admin listener, with what it has stored
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = DEFAULT_ADMIN)]
    pub(super) live: Option<String>,
    /// Print an object
    #[arg(long)]
    pub(super) json: bool,
}

/// `tidegate connections`.
#[derive(Debug, Args)]
pub(super) struct Connections {
    #[command(flatten)]
    pub(super) filters: Filters,
    /// Show it again and again, until Ctrl-C
    #[arg(long, short, conflicts_with = "json")]
    pub(super) watch: bool,
    /// How the last ones ended, instead
    #[arg(long, conflicts_with_all = ["watch", "state", "age", "idle"])]
    pub(super) closed: bool,
    /// Rows to show
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(super) limit: u16,
    /// Print an object
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) admin: AdminAt,
}

/// Which connections: all that is given must hold.
#[derive(Debug, Args)]
#[group(id = "filters", multiple = true)]
pub(super) struct Filters {
    /// Of this route
    #[arg(long, value_name = "NAME")]
    pub(super) route: Option<String>,
    /// Of this upstream
    #[arg(long, value_name = "NAME")]
    pub(super) upstream: Option<String>,
    /// Of this server, as the configuration has it
    #[arg(long, value_name = "ADDRESS")]
    pub(super) server: Option<String>,
    /// Of clients with this address, or of this network
    #[arg(long, value_name = "ADDRESS")]
    pub(super) client: Option<String>,
    /// connecting, open, draining or closing
    #[arg(long, value_name = "WORD")]
    pub(super) state: Option<String>,
    /// websocket or http
    #[arg(long, value_name = "WORD")]
    pub(super) kind: Option<String>,
    /// Open for at least this long, as in 90s or 5m
    #[arg(long, value_name = "PERIOD")]
    pub(super) age: Option<String>,
    /// Silent for at least this long
    #[arg(long, value_name = "PERIOD")]
    pub(super) idle: Option<String>,
}

/// `tidegate kick`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("which").required(true).multiple(true).args(["id", "all", "route", "upstream", "server", "client", "state", "kind", "age", "idle"]))]
pub(super) struct Kick {
    /// The one of this number
    #[arg(value_name = "ID", conflicts_with_all = ["filters", "all"])]
    pub(super) id: Option<u64>,
    #[command(flatten)]
    pub(super) filters: Filters,
    /// Every one
    #[arg(long, conflicts_with = "filters")]
    pub(super) all: bool,
    /// The code of the Close frame, as 1012 or 4000; by default the route's
    #[arg(long, value_name = "CODE")]
    pub(super) code: Option<u16>,
    /// Its text, at most 123 bytes
    #[arg(long, value_name = "TEXT", requires = "code")]
    pub(super) reason: Option<String>,
    /// Print an object
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) admin: AdminAt,
}

/// `tidegate drain`.
#[derive(Debug, Args)]
pub(super) struct Drain {
    #[command(flatten)]
    pub(super) which: Drained,
    /// Take it back: what it took before comes to it again
    #[arg(long, conflicts_with_all = ["rate", "within"])]
    pub(super) undo: bool,
    /// Tunnels in a second [default: `drain_rate` of the configuration]
    #[arg(long, value_name = "COUNT")]
    pub(super) rate: Option<u32>,
    /// What has not ended by then is cut [default: `tunnel_drain` of the configuration]
    #[arg(long, value_name = "PERIOD")]
    pub(super) within: Option<String>,
    /// Print an object
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) admin: AdminAt,
}

/// What is drained: one of these.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Drained {
    /// Every tunnel: new ones get 503 from now on
    #[arg(long)]
    pub(super) all: bool,
    /// Those of a route: new ones get 503; requests go on
    #[arg(long, value_name = "NAME")]
    pub(super) route: Option<String>,
    /// Those of an upstream: new ones get 503; requests go on
    #[arg(long, value_name = "NAME")]
    pub(super) upstream: Option<String>,
    /// Those of a server, as the configuration has it: new ones, and all requests, go to the other servers
    #[arg(long, value_name = "ADDRESS")]
    pub(super) server: Option<String>,
    /// Nothing: print what is drained
    #[arg(long, conflicts_with_all = ["undo", "rate", "within"])]
    pub(super) list: bool,
}

/// `tidegate version`.
#[derive(Debug, Args)]
pub(super) struct Version {
    /// As an object
    #[arg(long)]
    pub(super) json: bool,
}

/// `tidegate completions`.
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell
    #[arg(value_enum)]
    pub(super) shell: Shell,
}

/// `tidegate man`.
#[derive(Debug, Args)]
pub(super) struct Man {
    /// Write one page for each command into this directory instead
    #[arg(long, value_name = "DIRECTORY", value_hint = ValueHint::DirPath)]
    pub(super) directory: Option<PathBuf>,
}

/// What the process tells of itself.
#[derive(Debug, Args)]
pub(super) struct Log {
    /// How much is logged: error, warn, info, debug, trace, or by module as in `info,tidegate::cache=debug`
    #[arg(long, value_name = "LEVEL", env = "TIDEGATE_LOG", default_value = "info", hide_env_values = true)]
    pub(super) log_level: String,
    /// How the log looks, on standard error
    #[arg(long, value_enum, default_value_t = LogFormat::Human)]
    pub(super) log_format: LogFormat,
}

/// How the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// Lines to read
    Human,
    /// One object a line
    Json,
}

const EXAMPLES: &str = "\
Examples:
  See what it does, without any app of your own:
      tidegate demo
  Put it in front of an app on port 3000:
      tidegate run --listen 0.0.0.0:8080 --upstream 127.0.0.1:3000
  The same from a file, checked first:
      printf 'listen = \"0.0.0.0:8080\"\\nupstream = \"127.0.0.1:3000\"\\n' > tidegate.toml
      tidegate check tidegate.toml && tidegate run --config tidegate.toml

Exit codes: 0 all is well, 1 the thing failed or has problems, 2 the command line is wrong.";

const RUN_EXAMPLES: &str = "\
Examples:
  tidegate run --config /etc/tidegate/tidegate.toml
  tidegate run --upstream 127.0.0.1:3000
  tidegate run --listen 127.0.0.1:8080 --upstream https://app.internal --admin off
  TIDEGATE_CONFIG=tidegate.toml TIDEGATE_LOG=debug tidegate run";

const CHECK_EXAMPLES: &str = "\
Examples:
  tidegate check tidegate.toml
  tidegate check tidegate.toml --print-effective
  tidegate check tidegate.toml --format json | jq '.problems[].message'

All problems are told in one go. Warnings alone leave the exit code at 0.";

const DEMO_EXAMPLES: &str = "\
Examples:
  tidegate demo
  tidegate demo --listen 127.0.0.1:8090 --admin 127.0.0.1:9091

Open the page that it names in a browser. Ctrl-C ends it.";

const HEALTHCHECK_EXAMPLES: &str = "\
Examples:
  tidegate healthcheck
  tidegate healthcheck --admin 127.0.0.1:9091
  HEALTHCHECK CMD [\"tidegate\", \"healthcheck\"]";

const PURGE_EXAMPLES: &str = "\
Examples:
  tidegate purge https://example.com/item/7
  tidegate purge --prefix https://example.com/blog/ --soft
  tidegate purge --tag product-7 --tag home --admin 127.0.0.1:9091
  tidegate purge --group https://example.com menu
  tidegate purge --all --json | jq .purged";

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  tidegate explain --config tidegate.toml GET https://example.com/item/7
  tidegate explain --live 127.0.0.1:9090 GET https://example.com/item/7 -H 'Accept-Language: de'
  curl -sI http://127.0.0.1:3000/item/7 | tidegate explain -c tidegate.toml --response - GET https://example.com/item/7";

const CONNECTIONS_EXAMPLES: &str = "\
Examples:
  tidegate connections --watch
  tidegate connections --route chat --client 10.1.0.0/16 --idle 5m
  tidegate connections --closed
  tidegate connections --json --limit 1000 | jq '.connections[].client'";

const KICK_EXAMPLES: &str = "\
Examples:
  tidegate kick 4711
  tidegate kick --route chat --client 10.1.2.3 --code 1008 --reason 'no more of this'
  tidegate kick --server 10.0.0.5:3000
  tidegate kick --all --json | jq .kicked";

const DRAIN_EXAMPLES: &str = "\
Examples:
  tidegate drain --server 10.0.0.5:3000
  tidegate drain --route chat --rate 50 --within 2m
  tidegate drain --server 10.0.0.5:3000 --undo
  tidegate drain --all
  tidegate drain --list

It returns at once; `tidegate connections --state draining` shows who is left. Nothing new comes to what is \
drained until it is taken back with --undo, or the gateway is started anew.";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  tidegate completions bash > /etc/bash_completion.d/tidegate
  tidegate completions fish > ~/.config/fish/completions/tidegate.fish";

const MAN_EXAMPLES: &str = "\
Examples:
  tidegate man | man -l -
  tidegate man --directory /usr/local/share/man/man1";

const SCHEMA_EXAMPLES: &str = "\
Examples:
  tidegate schema > tidegate.schema.json
and as the first line of the configuration file, for editors that know TOML:
  #:schema ./tidegate.schema.json";
