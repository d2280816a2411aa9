//! The example of embedding, unchanged: another server, whose sessions a guest manages.

use std::fs;

use innkeeper_e2e::{Folder, run};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio::{net::TcpListener, runtime::Runtime};

#[path = "../../../host/rustls/examples/tokio.rs"]
#[expect(dead_code, reason = "its own main is for people")]
mod example;

#[test]
fn the_example_resumes_in_both_versions_and_is_short() {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../host/rustls/examples/tokio.rs")).unwrap();
    assert!(text.lines().count() <= 60, "an example of at most 60 lines");
    let mut folder = Folder::new();
    folder.component("rust-lru");
    folder.certify("shop");
    let chain = CertificateDer::pem_file_iter(folder.file("shop.pem")).unwrap().collect::<Result<Vec<_>, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_file(folder.file("shop.key")).unwrap();
    let component = fs::read(folder.file("rust-lru.wasm")).unwrap();
    let runtime = Runtime::new().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    runtime.spawn(
        async move { example::serve(listener, &component, chain, key).await.map_err(|error| error.to_string()) },
    );
    let session = folder.file("session");
    let connect = |args: &[&str]| {
        run(
            "openssl",
            &[&["s_client", "-connect", &address, "-servername", "shop.example", "-ign_eof"], args].concat(),
            "",
        )
    };
    let ended = connect(&["-tls1_2", "-no_ticket", "-reconnect"]);
    assert_eq!((ended.count("New, "), ended.count("Reused, ")), (1, 5), "{}", ended.output);
    let session = session.to_str().unwrap();
    assert_eq!(connect(&["-tls1_3", "-sess_out", session]).count("\nnot-offered\n"), 1);
    // The session may still be on its way to the guest; the read then waits for it.
    assert_eq!(connect(&["-tls1_3", "-sess_in", session]).count("\nresumed\n"), 1);
    assert_eq!(connect(&["-tls1_3", "-sess_in", session]).count("\nabsent\n"), 1, "it is used once");
}
