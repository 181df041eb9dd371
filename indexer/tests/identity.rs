//! Positioned documents: what comes twice shows up once.

use serde_json::json;

use crate::support::{Server, positioned, statuses};

#[test]
fn what_comes_twice_is_answered_409_and_shown_once() {
    let server = Server::start();
    let body = positioned("logs", &[(0x10, 0, 10, "a"), (0x10, 10, 20, "b"), (0x14, 0, 5, "c")]);
    assert_eq!(statuses(server.post("/_bulk", &body)), [201, 201, 201]);
    assert_eq!(statuses(server.post("/_bulk", &body)), [409, 409, 409]);
    let more = positioned("logs", &[(0x10, 10, 20, "b"), (0x10, 20, 30, "d")]);
    assert_eq!(statuses(server.post("/_bulk", &more)), [409, 201]);
    assert_eq!(server.count("logs"), 4);
    let got = server.get("/logs/_doc/0000000000000010-20").expect(200);
    assert_eq!(got["_source"]["message"], "d");
    let folder = server.stop().unwrap();
    let server = Server::on(folder.path());
    assert_eq!(statuses(server.post("/_bulk", &body)), [409, 409, 409]);
    assert_eq!(server.count("logs"), 4);
}

#[test]
fn what_was_grouped_differently_is_replaced() {
    let server = Server::start();
    let before = positioned("logs", &[(0x10, 0, 10, "one"), (0x10, 10, 20, "two"), (0x10, 20, 30, "three")]);
    assert_eq!(statuses(server.post("/_bulk?refresh=true", &before)), [201, 201, 201]);
    let after = positioned("logs", &[(0x10, 10, 40, "two three four")]);
    assert_eq!(statuses(server.post("/_bulk", &after)), [200]);
    assert_eq!(server.count("logs"), 2);
    assert_eq!(server.get("/logs/_doc/0000000000000010-10").expect(200)["_source"]["message"], "two three four");
    assert_eq!(server.get("/logs/_doc/0000000000000010-20").status, 404);
    assert_eq!(statuses(server.post("/_bulk", &after)), [409]);
    // The same without a commit in between.
    let pair =
        [positioned("logs", &[(0x20, 0, 10, "a"), (0x20, 10, 20, "b")]), positioned("logs", &[(0x20, 10, 30, "b c")])];
    server.post("/_bulk", &pair[0]).expect(200);
    assert_eq!(statuses(server.post("/_bulk", &pair[1])), [200]);
    assert_eq!(server.count("logs"), 4);
}

#[test]
fn several_documents_of_one_event_stay_together() {
    let server = Server::start();
    let action = |id: &str, end: u64| {
        format!("{{\"create\":{{\"_index\":\"logs\",\"_id\":\"{id}\",\"_end\":{end}}}}}\n{{\"m\":\"{id}\"}}\n")
    };
    let source = "00000000000000f0";
    let body =
        [action(&format!("{source}-0"), 0), action(&format!("{source}-0.1"), 0), action(&format!("{source}-0.2"), 9)]
            .concat();
    assert_eq!(statuses(server.post("/_bulk", &body)), [201, 201, 201]);
    assert_eq!(statuses(server.post("/_bulk", &body)), [409, 409, 409]);
    assert_eq!(server.count("logs"), 3);
    assert_eq!(
        server.get(&format!("/logs/_doc/{source}-0.1")).expect(200)["_source"],
        json!({"m": format!("{source}-0.1")})
    );
    // Grouped differently, and again three: the old ones go, all the new ones come.
    let wider =
        [action(&format!("{source}-0"), 0), action(&format!("{source}-0.1"), 0), action(&format!("{source}-0.2"), 20)]
            .concat();
    assert_eq!(statuses(server.post("/_bulk", &wider)), [200, 200, 200]);
    assert_eq!(server.count("logs"), 3);
}

#[test]
fn each_index_has_its_own_marks() {
    let server = Server::start();
    let both = [positioned("a", &[(0x10, 0, 10, "x")]), positioned("b", &[(0x10, 10, 20, "y")])].concat();
    assert_eq!(statuses(server.post("/_bulk", &both)), [201, 201]);
    // A dead letter comes later than its successors were accepted elsewhere.
    assert_eq!(statuses(server.post("/_bulk", &positioned("b", &[(0x10, 0, 10, "late")]))), [409]);
    assert_eq!(statuses(server.post("/_bulk", &positioned("dead", &[(0x10, 0, 10, "late")]))), [201]);
}

#[test]
fn a_refused_document_does_not_move_the_mark() {
    let server = Server::start();
    let bad = "{\"create\":{\"_index\":\"logs\",\"_id\":\"0000000000000010-0\",\"_end\":10}}\nnot json\n";
    assert_eq!(statuses(server.post("/_bulk", bad)), [400]);
    assert_eq!(statuses(server.post("/_bulk", &positioned("logs", &[(0x10, 0, 10, "a")]))), [201]);
}
