use super::{buddy, html, junit, page_table, test_records::*, timeline};
use crate::campaign::record::{Class, Evidence, EvidenceView, Golden, Record};

const BUDDYINFO: &str =
    "Node 0, zone      DMA      1      0      2\nNode 0, zone   Normal      5      1      0\n";
const PAGETABLE: &str = "page tables: 4 levels, cr3 0x37fe3000, WP, NX\n\
first            last                 size pg     physical krn usr region\n\
ffff888000000000 ffff888000104fff    1044K 4K 000000000000 rw- --- direct map\n\
0000000000400000 0000000000400fff       4K 4K 000000200000 rwx rwx\n\
1175 pages in 13 runs, 16 tables\n";

fn records() -> Vec<Record> {
    let view = |name: &str, text: &str| EvidenceView {
        name: name.to_owned(),
        text: text.to_owned(),
    };
    let mut crash = record(1, "failslab", Some("dup_mmap < fork"), Class::Crash);
    crash.evidence = Some(Evidence {
        views: vec![view("buddyinfo", BUDDYINFO), view("pagetable", PAGETABLE)],
        console: "BUG: \u{1b}[31m<b>\n".to_owned(),
    });
    vec![
        record(0, "failslab", Some("dup_mmap < fork"), Class::Masked),
        crash,
        record(2, "swap_io", None, Class::NotActivated),
        record(3, "bitflip", None, Class::Corruption),
    ]
}

#[test]
fn the_page_has_every_part_and_nothing_of_a_text_is_markup() {
    let page = html(&header(), &records());
    for part in [
        "A &lt;small&gt; campaign",
        "2 of 4 experiments show a fault",
        "dup_mmap &lt; fork",
        "pagelab run --fault failslab,nth=2",
        "failure-1",
        "failure-3",
        "<svg",
        "direct map",
        "class=\"buddy\"",
    ] {
        assert!(page.contains(part), "{part} is not in\n{page}");
    }
    assert!(!page.contains("failure-0"));
    assert!(!page.contains("<small> campaign"));
    assert_eq!(page.matches("</script>").count(), 2, "{page}");
    // Nothing is loaded from elsewhere.
    for elsewhere in ["src=", "href=", "@import", "url("] {
        assert!(!page.contains(elsewhere), "{elsewhere}");
    }
    assert_eq!(page, html(&header(), &records()));
}

#[test]
fn the_rows_are_data_that_a_script_reads_back() {
    let page = html(&header(), &records());
    let (_, rest) = page.split_once("type=\"application/json\">").unwrap();
    let (data, _) = rest.split_once("</script>").unwrap();
    let rows: serde_json::Value = serde_json::from_str(data).unwrap();
    assert_eq!(rows.as_array().unwrap().len(), 4);
    assert_eq!(rows[1][2], "crash");
    assert_eq!(rows[1][7], "reason 1 </script>");
}

#[test]
fn ci_sees_failures_and_what_was_skipped() {
    let xml = junit(&header(), &records()).unwrap();
    assert!(xml.contains("tests=\"4\""), "{xml}");
    assert!(xml.contains("failures=\"2\""), "{xml}");
    assert!(
        xml.contains("skipped=\"1\"") || xml.contains("disabled=\"1\""),
        "{xml}"
    );
    assert!(xml.contains("type=\"crash\""), "{xml}");
    assert!(!xml.contains("timestamp"), "{xml}");
}

#[test]
fn buddyinfo_is_read_and_other_lines_are_not() {
    let text = format!("{BUDDYINFO}nonsense\nNode 0, zone X y\n");
    let zones = buddy::zones(&text);
    assert_eq!(zones.len(), 2);
    assert_eq!((zones[0].name, &zones[0].free[..]), ("DMA", &[1, 0, 2][..]));
    assert_eq!(zones[1].name, "Normal");
}

#[test]
fn what_may_be_written_and_executed_stands_out() {
    let lines = page_table::lines(PAGETABLE);
    assert_eq!(lines.len(), 2);
    assert_eq!(
        (lines[0].len, &*lines[0].region),
        (1044 << 10, "direct map")
    );
    let drawn = page_table::draw(PAGETABLE).into_string();
    assert_eq!(drawn.matches("class=\"bad\"").count(), 1);
}

#[test]
fn the_timeline_is_drawn_if_there_is_one() {
    let svg = timeline::svg(&header().golden);
    assert!(svg.contains("balloon") && svg.contains("pages"), "{svg}");
    assert!(!svg.contains("swapped"), "{svg}");
    let golden = Golden {
        timeline: Vec::new(),
        ..header().golden
    };
    assert_eq!(timeline::svg(&golden), "");
}
