//! `tidegate explain`: what becomes of a request, by a configuration or by the gateway that runs.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
    process::ExitCode,
    sync::Arc,
};

use serde_json::{Value, json};

use super::{args::Explain, ask::Admin, config_path, output, usage};
use crate::{
    access_log::AccessLog,
    config::{self, Config, LogTarget},
    gateway::Gateway,
    metrics::Registry,
    wire::saved,
};

/// A fact in words, and what it is about.
type Fact = (String, String);

/// 0 if it could be explained.
pub(super) fn run(options: Explain) -> ExitCode {
    let Some(fields) = options.fields.iter().map(|line| field(line)).collect::<Option<Vec<_>>>() else {
        return usage("explain", "a field is written as `-H 'Name: value'`");
    };
    let response = match options.response.as_deref().map(read).transpose() {
        Ok(response) => response,
        Err(error) => return output::fail(&error),
    };
    let question = Question { method: &options.method, url: &options.url, fields, response };
    let facts = match (&options.live, config_path(options.config)) {
        (Some(live), _) => Admin::at("--live", live).and_then(|admin| question.ask(admin)),
        (None, Some(path)) => question.explain(&path),
        (None, None) => {
            return usage("explain", "either --config FILE (or TIDEGATE_CONFIG) or --live ADDRESS is required");
        }
    };
    match facts {
        Ok(facts) if options.json => output::print(&format!("{:#}", object(&facts))),
        Ok(facts) => output::print(&text(&facts)),
        Err(code) => code,
    }
}

struct Question<'q> {
    method: &'q str,
    url: &'q str,
    fields: Vec<(String, String)>,
    response: Option<String>,
}

impl Question<'_> {
    /// By the gateway that this configuration makes, with nothing stored.
    fn explain(&self, path: &Path) -> Result<Vec<Fact>, ExitCode> {
        let loaded = config::load(path).map_err(|problems| {
            output::problems(&problems);
            ExitCode::FAILURE
        })?;
        let told = |error: String| output::fail(&error);
        let request = saved::request(self.method, self.url, &self.fields).map_err(told)?;
        let answer = self.response.as_deref().map(saved::response).transpose().map_err(told)?;
        let gateway = gateway(loaded.config).map_err(told)?;
        let facts = gateway.explain(request, answer.as_ref());
        Ok(facts.into_iter().map(|(about, says)| (about.to_owned(), says)).collect())
    }

    /// By a gateway that runs.
    fn ask(&self, admin: Admin) -> Result<Vec<Fact>, ExitCode> {
        let fields: Vec<_> = self.fields.iter().map(|(name, value)| json!([name, value])).collect();
        let mut question = json!({ "method": self.method, "url": self.url, "fields": fields });
        if let Some(response) = &self.response {
            question["response"] = response.as_str().into();
        }
        let said = admin.order("/explain", &question)?;
        let facts = said["facts"].as_array().map(Vec::as_slice).unwrap_or_default();
        let word = |fact: &Value, key: &str| fact[key].as_str().unwrap_or_default().to_owned();
        Ok(facts.iter().map(|fact| (word(fact, "about"), word(fact, "says"))).collect())
    }
}

/// A gateway that listens nowhere and logs nothing.
fn gateway(mut config: Config) -> Result<Arc<Gateway>, String> {
    config.access_log.target = LogTarget::Off;
    let registry = Registry::new();
    let log = AccessLog::start(&config.access_log, &registry).map_err(|error| error.to_string())?;
    Gateway::new(Arc::new(config), &registry, log)
}

fn field(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    Some((name.to_owned(), value.trim().to_owned()))
}

/// The text of a file, or of standard input. Behind the head may stand anything.
fn read(path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        io::stdin().lock().take(HEAD_BYTES_MAX).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(HEAD_BYTES_MAX).read_to_end(&mut bytes))
    };
    match read {
        Ok(_) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) => Err(format!("could not read `{}`: {error}", path.display())),
    }
}

fn object(facts: &[Fact]) -> Value {
    let facts: Vec<_> = facts.iter().map(|(about, says)| json!({ "about": about, "says": says })).collect();
    json!({ "facts": facts })
}

/// One line for each fact; what several are about stands once.
fn text(facts: &[Fact]) -> String {
    let mut text = String::new();
    let mut before = "";
    for (about, says) in facts {
        let shown = if about == before { "" } else { about.as_str() };
        text.push_str(&format!("{:<14} {says}\n", shown.replace('_', " ")));
        before = about;
    }
    text
}

/// Of a saved head; what follows it is not looked at.
const HEAD_BYTES_MAX: u64 = 128 * 1024;
