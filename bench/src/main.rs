//! The bench's load tool and backend: `tidebench origin` answers, everything else asks a gateway and tells in JSON what
//! came of it. One thread each, so that one processor can be set aside for it.

mod crowd;
mod dial;
mod floor;
mod frame;
mod http1;
mod http2;
mod load;
mod origin;
mod pace;
mod question;
mod scratch;
mod tally;
mod tunnel;

use std::{io, rc::Rc};

use clap::Parser;
use serde_json::Value;
use tokio::{runtime, task::LocalSet};

use self::{
    crowd::Rest,
    load::{Load, Shared, Target},
    question::{Question, Wanted},
};

#[derive(Parser)]
#[command(about = "Loads a gateway and tells in JSON what came of it; and the backend behind it.")]
enum Command {
    /// The backend.
    Origin {
        #[arg(long)]
        port: u16,
    },
    /// The least that a gateway can do, to compare with.
    Floor {
        #[arg(long)]
        port: u16,
        /// The backend's port.
        #[arg(long)]
        backend: u16,
    },
    /// GET or POST, closed or open loop.
    Get {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        load: Load,
        #[command(flatten)]
        wanted: Wanted,
    },
    /// WebSocket messages there and back.
    Echo {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        load: Load,
        #[arg(long, default_value = "/ws")]
        path: String,
        #[arg(long, default_value_t = 64)]
        size: usize,
    },
    /// WebSockets opened and closed again.
    Handshake {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        load: Load,
        #[arg(long, default_value = "/ws")]
        path: String,
    },
    /// Memory of connections at rest.
    Hold {
        #[command(flatten)]
        target: Target,
        #[arg(long)]
        count: usize,
        #[arg(long)]
        rest: Rest,
        #[arg(long, default_value = "/ws")]
        path: String,
    },
    /// All connections ask for the same cold thing at once.
    Stampede {
        #[command(flatten)]
        target: Target,
        #[arg(long, default_value_t = 1000)]
        connections: usize,
        #[arg(long, default_value_t = 5)]
        rounds: usize,
        #[arg(long, default_value = "/slow/1024")]
        path: String,
    },
    /// A healthy client while something happens to many tunnels.
    Disturb {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        load: Load,
        #[command(flatten)]
        wanted: Wanted,
        /// It sends messages of so many bytes instead of requests.
        #[arg(long)]
        echo: Option<usize>,
        #[arg(long)]
        tunnels: usize,
        #[arg(long, default_value = "/ws")]
        tunnel_path: String,
    },
}

fn main() -> io::Result<()> {
    let command = Command::parse();
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let told = LocalSet::new().block_on(&runtime, run(command))?;
    println!("{told}");
    Ok(())
}

async fn run(command: Command) -> io::Result<Value> {
    match command {
        Command::Origin { port } => origin::serve(port).await.map(|()| Value::Null),
        Command::Floor { port, backend } => floor::serve(port, backend).map(|()| Value::Null),
        Command::Get { target, load, wanted } => load::get(target, load, Question::new(wanted)).await,
        Command::Echo { target, load, path, size } => load::echo(target, load, path, size).await,
        Command::Handshake { target, load, path } => load::handshake(target, load, path).await,
        Command::Hold { target, count, rest, path } => crowd::hold(target, count, rest, path).await,
        Command::Stampede { target, connections, rounds, path } => {
            crowd::stampede(target, connections, rounds, path).await
        }
        Command::Disturb { target, load, wanted, echo, tunnels, tunnel_path } => {
            let shared = Shared::new(&target, &load);
            let resting = crowd::rest(&target, tunnels, &tunnel_path).await?;
            match echo {
                Some(size) => load::talk(&target, &load, &shared, &tunnel_path, size).await?,
                None => load::ask(&target, &load, &shared, Rc::new(Question::new(wanted))).await?,
            }
            crowd::disturb(&target, &load, &shared, resting).await
        }
    }
}
