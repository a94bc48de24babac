//! What the tests share: prebuilt guests compiled for this machine, a host that records, a client.

use coracle_runtime::{
    BoxFuture, BoxedStream, Config, ConnectError, Exit, Host, HttpOptions, Limits, Module, Mount,
    Output, Runtime, Sandbox, SandboxSpec, StdStream, compile,
};
use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::watch,
};

/// For anything that should happen soon, on a machine busy with other tests.
pub(crate) const SOON: Duration = Duration::from_secs(60);

pub(crate) fn wasm(name: &str) -> Vec<u8> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = here.join(format!("../wasm-examples/prebuilt/{name}.wasm"));
    fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

pub(crate) fn runtime() -> Runtime {
    Runtime::new(Config {
        pool_instances: 32,
        cpu_threads: 2,
    })
    .unwrap()
}

pub(crate) fn load(runtime: &Runtime, name: &str) -> Module {
    let target = runtime.compatibility().target;
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let code = compile::compile(&wasm(name), &target).unwrap();
    std::io::Write::write_all(&mut file, &code).unwrap();
    runtime.load(file.path()).unwrap()
}

/// What a guest wrote, as far as the first megabyte; and how much it was.
#[derive(Default)]
pub(crate) struct Captured {
    text: Mutex<String>,
    bytes: watch::Sender<usize>,
}

impl Captured {
    const KEPT: usize = 1 << 20;

    pub(crate) fn text(&self) -> String {
        self.text.lock().clone()
    }

    pub(crate) fn bytes(&self) -> usize {
        *self.bytes.borrow()
    }

    /// Until the guest has written this text.
    pub(crate) async fn wrote(&self, text: &str) {
        let mut bytes = self.bytes.subscribe();
        let wait = bytes.wait_for(|_| self.text.lock().contains(text));
        let found = tokio::time::timeout(SOON, wait).await.is_ok();
        assert!(found, "no {text:?} in {:?}", self.text());
    }
}

impl Output for Captured {
    fn write(&self, _stream: StdStream, bytes: &[u8]) {
        let mut text = self.text.lock();
        if text.len() < Self::KEPT {
            text.push_str(&String::from_utf8_lossy(bytes));
        }
        drop(text);
        self.bytes.send_modify(|count| *count += bytes.len());
    }
}

/// Records listeners; answers outgoing connections with the scripted errors, then with 204.
#[derive(Default)]
pub(crate) struct FakeHost {
    pub(crate) listening: watch::Sender<Option<(u16, SocketAddr)>>,
    pub(crate) refusals: Mutex<VecDeque<ConnectError>>,
    pub(crate) received: Arc<Mutex<Vec<(String, String)>>>,
}

impl Host for FakeHost {
    fn tcp_listen(&self, guest_port: u16, local: SocketAddr) {
        self.listening.send_replace(Some((guest_port, local)));
    }

    fn tcp_closed(&self, _guest_port: u16) {
        self.listening.send_replace(None);
    }

    fn connect(
        &self,
        authority: String,
        _tls: bool,
    ) -> BoxFuture<'_, Result<BoxedStream, ConnectError>> {
        if let Some(refusal) = self.refusals.lock().pop_front() {
            return Box::pin(async { Err(refusal) });
        }
        let (near, far) = tokio::io::duplex(64 << 10);
        background(answer_once(far, authority, Arc::clone(&self.received)));
        Box::pin(async { Ok(Box::new(near) as BoxedStream) })
    }
}

/// Reads one whole request with a body, answers 204 and waits for the client to close.
async fn answer_once(
    mut stream: tokio::io::DuplexStream,
    authority: String,
    received: Arc<Mutex<Vec<(String, String)>>>,
) {
    let mut request = String::new();
    let mut buffer = [0; 4096];
    // The bodies of these guests end with a brace, and a chunked one with an empty chunk.
    let is_whole = |request: &str| {
        let chunked = request
            .to_lowercase()
            .contains("transfer-encoding: chunked");
        request.contains('}') && (!chunked || request.ends_with("0\r\n\r\n"))
    };
    while !is_whole(&request) {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(read) => request.push_str(&String::from_utf8_lossy(&buffer[..read])),
        }
    }
    received.lock().push((authority, request));
    let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
    let _ = stream.read(&mut buffer).await;
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test has no tasks to name; they end with its runtime"
)]
pub(crate) fn background(task: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(task);
}

/// One container to be started; the defaults are an HTTP server's.
pub(crate) struct Guest {
    pub(crate) output: Arc<Captured>,
    pub(crate) host: Arc<FakeHost>,
    spec: SandboxSpec,
}

impl Guest {
    pub(crate) fn new(args: &[&str]) -> Self {
        let output = Arc::new(Captured::default());
        let mut all = vec!["guest".to_owned()];
        all.extend(args.iter().map(|arg| (*arg).to_owned()));
        Self {
            spec: SandboxSpec {
                id: "test".to_owned(),
                args: all,
                env: Vec::new(),
                mounts: Vec::new(),
                limits: Limits::default(),
                output: Arc::clone(&output) as Arc<dyn Output>,
                http: HttpOptions::default(),
            },
            output,
            host: Arc::new(FakeHost::default()),
        }
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.spec.env.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn mount(mut self, host: &Path, guest: &str, read_only: bool) -> Self {
        self.spec.mounts.push(Mount {
            host: PathBuf::from(host),
            guest: guest.to_owned(),
            read_only,
        });
        self
    }

    pub(crate) fn limits(mut self, cpu_millis: Option<u32>, memory_mib: Option<u64>) -> Self {
        self.spec.limits = Limits {
            memory_bytes: memory_mib.map(|mib| mib << 20),
            cpu_millis,
            cpu_shares_millis: 0,
        };
        self
    }

    pub(crate) async fn start(&self, runtime: &Runtime, module: &Module) -> Sandbox {
        let host = Arc::clone(&self.host) as Arc<dyn Host>;
        runtime
            .start(module, self.spec.clone(), host)
            .await
            .unwrap()
    }

    /// Starts a command and waits for its end.
    pub(crate) async fn run(&self, runtime: &Runtime, module: &Module) -> Exit {
        exit_of(&self.start(runtime, module).await).await
    }
}

pub(crate) async fn exit_of(sandbox: &Sandbox) -> Exit {
    tokio::time::timeout(SOON, sandbox.exited())
        .await
        .expect("the guest should have ended")
}

/// One request over a connection of its own: the status and the body.
pub(crate) async fn request(sandbox: &Sandbox, method: &str, path: &str) -> (u16, String) {
    let (mut client, server) = tokio::io::duplex(64 << 10);
    let serve = sandbox.serve(Box::new(server));
    let exchange = async {
        let head = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        client.write_all(head.as_bytes()).await.unwrap();
        let mut text = String::new();
        // A connection that breaks is an empty answer.
        let _ = client.read_to_string(&mut text).await;
        text
    };
    let (text, ()) = tokio::join!(exchange, serve);
    let status = text.split(' ').nth(1).and_then(|code| code.parse().ok());
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status.unwrap_or(0), unchunk(body))
}

pub(crate) async fn get(sandbox: &Sandbox, path: &str) -> (u16, String) {
    request(sandbox, "GET", path).await
}

/// The body without the framing of a chunked answer; guests' texts are single lines.
fn unchunk(body: &str) -> String {
    let is_size = |line: &str| !line.is_empty() && u64::from_str_radix(line, 16).is_ok();
    if !body.ends_with("0\r\n\r\n") {
        return body.to_owned();
    }
    let mut lines = body.split("\r\n");
    let mut text = String::new();
    while let (Some(size), Some(chunk)) = (lines.next(), lines.next()) {
        if is_size(size) {
            text.push_str(chunk);
        }
    }
    text
}
