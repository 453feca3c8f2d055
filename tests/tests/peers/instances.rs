//! Servers that others wrote, as instances of services.

use std::path::{Path, PathBuf};

use a8_tests::process::Process;
use a8_tests::server::client;
use a8_tests::{ports, wait};
use tokio::net::TcpStream;

use crate::papers::Papers;
use crate::setup::Setup;
use crate::tools;

/// What the instances together serve.
pub(crate) struct Instances {
    _processes: Vec<Process>,
    python: u16,
    root: PathBuf,
}

impl Instances {
    /// Lets the next wait of the server in Python end.
    pub(crate) async fn go(&self) {
        let url = format!("http://127.0.0.1:{}/go", self.python);
        let answer = client().get(url).send().await.unwrap();
        assert_eq!(answer.status(), 200);
    }

    /// What was uploaded to nginx as `name`.
    pub(crate) fn uploaded(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.root.join("put").join(name)).unwrap()
    }
}

/// The services below, and whether an instance of them speaks HTTP/2.
pub(crate) const FILES: [(&str, bool); 4] = [
    ("nginx", false),
    ("nginx-tls", false),
    ("nghttpd", true),
    ("nghttpd-tls", true),
];

/// A file of this many bytes is `big` at each of [`FILES`].
pub(crate) const BIG: usize = 30_000_000;

/// Bytes that no two pieces of have in common, so that what is lost or mixed up shows.
pub(crate) fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// Starts nginx, nghttpd and a server in Python, and adds them to what `setup` knows.
pub(crate) async fn start(setup: &mut Setup) -> Instances {
    let root = setup.folder().join("www");
    std::fs::create_dir_all(root.join("put")).unwrap();
    std::fs::write(root.join("small"), "a few bytes\n").unwrap();
    std::fs::write(root.join("empty"), "").unwrap();
    std::fs::write(root.join("text"), "again and again\n".repeat(10_000)).unwrap();
    std::fs::write(root.join("big"), noise(BIG)).unwrap();
    let given: [u16; 5] = std::array::from_fn(|_| ports::free());
    let [plain, tls, h2c, h2, python] = given;
    for (service, kind, port) in [
        ("nginx", "http", plain),
        ("nginx-tls", "https", tls),
        ("nghttpd-tls", "https", h2),
        ("python", "http", python),
    ] {
        setup.instance(service, kind, format!("127.0.0.1:{port}"));
    }
    setup.http2_instance("nghttpd", format!("127.0.0.1:{h2c}"));
    let mut web = tools::python("web.py");
    web.arg(python.to_string());
    let processes = vec![
        nginx(setup.folder(), &root, &setup.papers, plain, tls),
        nghttpd(&root, h2c, None),
        nghttpd(&root, h2, Some(&setup.papers)),
        tools::serve("web.py", web),
    ];
    for port in given {
        listens(port).await;
    }
    Instances {
        _processes: processes,
        python,
        root,
    }
}

fn nginx(folder: &Path, root: &Path, papers: &Papers, plain: u16, tls: u16) -> Process {
    let of = |name: &str| folder.join(name).display().to_string();
    // One process: nothing is left behind when it is killed.
    let text = format!(
        r#"
daemon off; master_process off; pid {pid}; error_log stderr;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_max_body_size 0; keepalive_requests 1000000;
  client_body_temp_path {t1}; proxy_temp_path {t2}; fastcgi_temp_path {t3};
  uwsgi_temp_path {t4}; scgi_temp_path {t5};
  server {{
    listen 127.0.0.1:{plain} backlog=1024;
    listen 127.0.0.1:{tls} ssl;
    ssl_certificate {chain}; ssl_certificate_key {key};
    root {root};
    location /put/ {{ dav_methods PUT; client_body_temp_path {root}/put; }}
    location /zipped/ {{ alias {root}/; gzip on; gzip_types *; gzip_min_length 0; }}
    location /trailed/ {{ alias {root}/; add_trailer X-Sum done always; }}
    location /204 {{ return 204; }}
    location /304 {{ return 304; }}
    location /cookies {{
      add_header Set-Cookie a=1; add_header Set-Cookie b=2;
      return 200 $http_cookie;
    }}
  }}
}}
"#,
        pid = of("pid"),
        t1 = of("t1"),
        t2 = of("t2"),
        t3 = of("t3"),
        t4 = of("t4"),
        t5 = of("t5"),
        chain = papers.chain.display(),
        key = papers.key.display(),
        root = root.display(),
    );
    let file = folder.join("nginx.conf");
    std::fs::write(&file, text).unwrap();
    let mut command = tools::program("nginx");
    command.arg("-p").arg(folder).arg("-c").arg(file);
    command.args(["-e", "stderr"]);
    tools::serve("nginx", command)
}

fn nghttpd(root: &Path, port: u16, papers: Option<&Papers>) -> Process {
    let mut command = tools::program("nghttpd");
    command.args(["-a", "127.0.0.1", "--echo-upload", "--trailer=x-sum: done"]);
    command.arg("-d").arg(root);
    match papers {
        None => command.arg("--no-tls").arg(port.to_string()),
        Some(papers) => command
            .arg(port.to_string())
            .args([&papers.key, &papers.chain]),
    };
    tools::serve("nghttpd", command)
}

/// Waits until somebody listens on `port`.
pub(crate) async fn listens(port: u16) {
    wait::until(&format!("port {port}"), || async {
        let connected = TcpStream::connect(("127.0.0.1", port)).await;
        connected.map(drop).map_err(|e| e.to_string())
    })
    .await;
}
