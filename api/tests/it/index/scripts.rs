//! What a reader of a script expects to find, and what not.

use cityevents_api::index::IndexPlace;

use super::{BY_RELEVANCE, BY_START, Shelf, event};

#[tokio::test]
async fn a_reader_of_any_script_finds_what_is_there_and_nothing_else() {
    // A text, what finds it, and what does not.
    let table: &[(&str, &[&str], &[&str])] = &[
        (
            "Café-Concert à São João: l'été indien, Straße 8",
            &["cafe", "CAFÉ", "conc", "sao joao", "ete", "l'ete", "indien cafe", "strasse", "8"],
            &["afe", "oncert", "cafes", "joana", "88"],
        ),
        (
            "Łódź Dłuższa Noc, Ødegård og Þórr",
            &["lodz", "łódź", "dluzsza", "odegard", "thorr", "NOC"],
            &["odz", "nocy"],
        ),
        (
            "Фестиваль джаза в Москве, Ёлка и чай",
            &["фест", "ФЕСТИВАЛЬ", "джаз", "моск", "елка", "ёлка", "чаи"],
            &["естиваль", "джазовый", "рок"],
        ),
        (
            "Μουσική βραδιά στην Αθήνα, ο δρόμος",
            &["μουσικη", "ΜΟΥΣΙΚΉ", "αθηνα", "βραδ", "ΔΡΟΜΟΣ", "δρομος"],
            &["θηνα", "μουσικες"],
        ),
        (
            "مهرجان المُوسِيقى في القاهرة",
            &["مهرجان", "الموسيقى", "الموسيقي", "القاهره", "مهر"],
            &["هرجان", "مسرح"],
        ),
        ("פסטיבל מוּסִיקָה בתל אביב", &["מוסיקה", "פסט", "בתל אביב", "אביב"], &["סטיבל", "חיפה"]),
        (
            "दिल्ली में शास्त्रीय संगीत समारोह",
            &["संगीत", "समा", "दिल्ली संगीत", "शास्त्रीय"],
            &["गीत", "संगीता", "मुंबई"],
        ),
        (
            "北京国际音乐节",
            &["音乐", "北京", "国际音乐", "乐", "京国际", "音乐节 北京"],
            &["乐音", "京北", "上海", "国际节", "音樂"],
        ),
        (
            "東京ジャズフェスティバル、秋の夜",
            &["ジャズ", "東京", "フェス", "京ジャ", "秋の夜", "夜", "ｼﾞｬｽﾞ"],
            &["ズジャ", "大阪", "夜秋", "シャズ"],
        ),
        (
            "เทศกาลดนตรีกรุงเทพ ข้าวมันไก่",
            &["ดนตรี", "เทศกาล", "กรุงเทพ", "ข้าว", "ไก่"],
            &["ตรีดน", "เชียงใหม่", "ขาว"],
        ),
        (
            "서울 재즈 축제에서 만나요",
            &["서울", "재즈", "축제", "축제에서", "재즈 서울"],
            &["제에서", "부산"],
        ),
        ("ງານບຸນດົນຕີ ວຽງຈັນ", &["ດົນຕີ", "ວຽງຈັນ"], &["ປາກເຊ"]),
        (
            "Rock'n'Roll 2027 – 3D映画の夕べ vs. C++",
            &["rock", "2027", "202", "3d", "映画", "3d映画", "映画 2027", "c"],
            &["画映", "7"],
        ),
    ];
    let shelf = Shelf::new(IndexPlace::Memory).await;
    let events: Vec<_> = table
        .iter()
        .enumerate()
        .map(|(number, (text, ..))| {
            // In the title for one half, in the description for the other.
            let mut event = event(number as u32, text, number as i64 + 1);
            if number % 2 == 1 {
                event.fields.description = (*text).to_owned();
                event.fields.title = number.to_string();
            }
            event
        })
        .collect();
    shelf.put(&events).await;
    for (event, (text, finding, missing)) in events.iter().zip(table) {
        for order in [BY_START, BY_RELEVANCE] {
            for typed in *finding {
                let found = shelf.titles(typed, order.clone()).await;
                assert!(found.contains(&event.fields.title), "{typed:?} finds not {text}");
            }
            for typed in *missing {
                let found = shelf.titles(typed, order.clone()).await;
                assert!(!found.contains(&event.fields.title), "{typed:?} finds {text}");
            }
        }
    }
}

#[tokio::test]
async fn a_city_is_found_as_well_and_completed_without_its_accents() {
    let shelf = Shelf::new(IndexPlace::Memory).await;
    let cities = ["São Paulo", "São Paulo", "Santiago", "東京都", "Saint-Étienne", "Köln"];
    let events: Vec<_> = cities
        .iter()
        .enumerate()
        .map(|(number, city)| {
            let mut event = event(number as u32, &format!("Event {number}"), 1);
            event.fields.city = (*city).to_owned();
            event
        })
        .collect();
    shelf.put(&events).await;
    assert_eq!(shelf.titles("sao event", BY_START).await.len(), 2);
    assert_eq!(shelf.titles("京都", BY_START).await, ["Event 3"]);
    let completed = |typed| shelf.index().cities(typed, 10);
    assert_eq!(completed("sa"), ["São Paulo", "Saint-Étienne", "Santiago"]);
    assert_eq!(completed("SAINT-E"), ["Saint-Étienne"]);
    assert_eq!(completed("東京"), ["東京都"]);
    assert_eq!(completed("ko"), ["Köln"]);
    assert_eq!(completed("paulo"), Vec::<String>::new());
    shelf.delete(&events[5].id).await;
    assert_eq!(completed("ko"), Vec::<String>::new());
}
