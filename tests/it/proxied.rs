//! The API's stream behind nginx, with the settings of `docker/nginx.conf`: rows arrive as they fire, a
//! reader that comes back misses and repeats nothing, one that stalls is cut off.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::binary::{Place, repository, wait_for};
use crate::listeners::{ByHand, LONG, Listener, read_to_the_end};
use crate::served::Served;
use crate::servers;

/// nginx, for as long as it is held.
struct Proxy {
    child: Child,
    /// As `127.0.0.1:40123`.
    address: String,
}

impl Proxy {
    /// Starts nginx before a server; nothing where there is none.
    fn start(place: &Place, served: &Served, test: &str) -> Option<Proxy> {
        let program = ["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/opt/homebrew/bin/nginx"];
        let Some(program) = program.iter().find(|program| std::path::Path::new(program).exists())
        else {
            servers::cannot_run(&format!("{test} needs nginx (Debian: nginx-light)"));
            return None;
        };
        let free = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = free.local_addr().expect("an address").to_string();
        drop(free);
        let settings = repository().join("docker/nginx.conf");
        let settings = std::fs::read_to_string(settings).expect("it is there");
        let upstream = served.url.trim_start_matches("http://").trim_end_matches("/api/v1");
        let mut server = String::new();
        for line in settings.lines().filter(|line| !line.contains("ssl_certificate")) {
            let line = line.replace("8443 ssl", &address).replace("127.0.0.1:8090", upstream);
            server += &format!("{line}\n");
        }
        assert!(server.contains(&address) && server.contains(upstream), "{server}");
        let home = place.path("nginx");
        std::fs::create_dir(&home).expect("a folder");
        let home = home.to_str().expect("text");
        let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let folders = kinds.map(|kind| format!("{kind}_temp_path {home}/{kind};\n")).concat();
        let whole = format!(
            "daemon off;\npid {home}/pid;\nerror_log {home}/log;\nevents {{}}\nhttp {{\naccess_log off;\n\
             {folders}{server}}}\n"
        );
        place.write("nginx.conf", whole);
        let conf = place.path("nginx.conf");
        let mut command = place.command(program);
        command.arg("-p").arg(home).arg("-c").arg(conf).stderr(Stdio::null());
        let child = command.spawn().expect("it runs");
        let proxy = Proxy { child, address };
        wait_for("nginx", LONG, || TcpStream::connect(&proxy.address).ok());
        Some(proxy)
    }

    fn url(&self) -> String {
        format!("http://{}/api/v1", self.address)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Asked in an orderly way, it ends its workers too.
        let id = self.child.id().to_string();
        std::process::Command::new("kill").args(["-TERM", &id]).status().ok();
        self.child.wait().ok();
    }
}

#[tokio::test]
async fn rows_arrive_as_they_fire_and_a_reader_that_comes_back_misses_nothing() {
    let test = "proxied::rows_arrive_as_they_fire_and_a_reader_that_comes_back_misses_nothing";
    let place = Place::new();
    let mut hand = ByHand::new(&place).await;
    let served = Served::start(&place, &["--lake", "lake", "--stream-period", "100ms"]);
    let Some(proxy) = Proxy::start(&place, &served, test) else { return };
    let mut listener = Listener::begin_behind(&proxy.url(), "", &[]).await;
    let mut slowest = Duration::ZERO;
    for number in 0..10 {
        hand.fire("t_1h", number..number + 1, &["a"]).await;
        let fired = Instant::now();
        assert_eq!(listener.numbers(1).await, [number]);
        slowest = slowest.max(fired.elapsed());
    }
    // A second, and room for a machine that does much else.
    assert!(slowest < Duration::from_secs(3), "{slowest:?}");
    let last = listener.last.clone().expect("an id");
    drop(listener);
    hand.fire("t_1h", 10..15, &["a"]).await;
    let mut again = Listener::begin_behind(&proxy.url(), "", &[("last-event-id", &last)]).await;
    hand.fire("t_1h", 15..16, &["a"]).await;
    assert_eq!(again.numbers(6).await, [10, 11, 12, 13, 14, 15]);
}

#[tokio::test]
async fn a_reader_that_stalls_is_cut_off() {
    let place = Place::new();
    let mut hand = ByHand::new(&place).await;
    let served = Served::start(&place, &["--lake", "lake", "--stream-period", "100ms"]);
    let test = "proxied::a_reader_that_stalls_is_cut_off";
    let Some(proxy) = Proxy::start(&place, &served, test) else { return };
    let mut stalled = TcpStream::connect(&proxy.address).expect("nginx listens");
    write!(stalled, "GET /api/v1/stream HTTP/1.1\r\nHost: {}\r\n\r\n", proxy.address)
        .expect("it takes it");
    let mut beside = Listener::begin_behind(&proxy.url(), "", &[]).await;
    let (objects, rows) = (40, 10_000);
    for object in 0..objects {
        hand.fire("t_1h", object * rows..(object + 1) * rows, &["a"]).await;
    }
    let all = beside.numbers(usize::try_from(objects * rows).expect("rows")).await;
    assert!(all.windows(2).all(|two| two[0] < two[1]), "each once, in order");
    tokio::time::sleep(Duration::from_secs(13)).await;
    let read = read_to_the_end(stalled).await;
    assert!(read.contains("event: cut\n"), "{}", &read[read.len().saturating_sub(500)..]);
    assert!(read.matches("event: row").count() < all.len(), "it was not given everything");
    hand.fire("t_1h", 1_000_000..1_000_001, &["a"]).await;
    assert_eq!(beside.numbers(1).await, [1_000_000]);
}
