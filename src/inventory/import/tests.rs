//! Files as carriers write them.

use super::*;
use crate::values::phone::Kind;

/// What was read of a file.
#[derive(Debug, Default)]
struct All {
    header: Header,
    good: Batch,
    bad: Vec<BadRow>,
}

fn all(bytes: impl AsRef<[u8]>) -> Result<All, Refused> {
    all_as(bytes, &Reading::default())
}

fn all_as(bytes: impl AsRef<[u8]>, reading: &Reading) -> Result<All, Refused> {
    let (sender, mut parts) = mpsc::channel(10);
    read(bytes.as_ref(), reading, &sender)?;
    drop(sender);
    let mut all = All::default();
    while let Ok(part) = parts.try_recv() {
        match part {
            Part::Header(header) => all.header = header,
            Part::Rows(good, bad) => {
                all.good = good;
                all.bad.extend(bad);
            }
        }
    }
    Ok(all)
}

impl All {
    fn lines(&self) -> Vec<u64> {
        self.bad.iter().map(|row| row.line).collect()
    }
}

#[test]
fn columns_come_in_any_order() {
    let read = all("note,phone_number\r\n\"a, b\",4158675309\r\n,8005550100\n").unwrap();
    assert_eq!(read.good.phone_numbers, [4_158_675_309, 8_005_550_100]);
    assert_eq!(read.good.kinds, [Kind::Local, Kind::TollFree]);
    assert_eq!(read.good.notes, [Some("a, b".to_owned()), None]);
    assert!(read.bad.is_empty());
}

#[test]
fn each_bad_row_is_named_with_its_line_and_fault() {
    let read = all("phone_number,note\n\n4158675309,ok\n415,1\n4158675310,\"two\r\nlines\"\n,,\n,\n4161234567\n\
        4158675311\n1,2,3\n4158675312,a\u{1}b\n4158675313,\"a\"\"b, c\"\n,x\n4152115309\n4151115309\n4.16E+09\n")
    .unwrap();
    assert_eq!(read.good.phone_numbers, [4_158_675_309, 4_158_675_310, 4_158_675_311, 4_158_675_313]);
    assert_eq!(read.good.notes[1].as_deref(), Some("two\r\nlines"));
    assert_eq!(read.good.notes[3].as_deref(), Some("a\"b, c"));
    let faults: Vec<_> = read.bad.iter().map(|row| (row.line, row.fault)).collect();
    let expected = [
        (4, "not ten digits"),
        (9, "no US area code"),
        (11, "more cells than the header"),
        (12, "control character"),
        (14, "no phone number"),
        (15, "N11 exchange"),
        (16, "exchange begins with 0 or 1"),
        (17, "rounded by a spreadsheet"),
    ];
    assert_eq!(faults, expected);
}

#[test]
fn files_of_carriers_are_read_as_they_come() {
    let utf_16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
    let semicolons = "Telephone Number;Carrier;MRC\r\n+1 (415) 867-5309;Telefónica;$0.0085\r\n";
    let tabs = "\u{feff}TN\tRate Center\tMonthly_Fee\tDescription\r\n1-415-867-5309\tSNFC CNTRL\t.0085\tTelefónica\r\n";
    let mixed = "DID,LATA,cost,CARRIER,\n\"(415) 867-5309\",722,\"$ 0.0085\",\"Telefónica\",\n,,,,\n";
    let latin1: Vec<u8> = semicolons.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    let as_latin1 = Reading { encoding: Encoding::Latin1, ..Reading::default() };
    let auto = Reading::default();
    for (file, reading) in [
        (semicolons.as_bytes().to_vec(), &auto),
        (latin1.clone(), &as_latin1),
        (utf_16(tabs), &auto),
        (tabs.as_bytes().to_vec(), &auto),
        (utf_16(mixed), &auto),
    ] {
        let read = all_as(&file, reading).unwrap();
        assert!(read.bad.is_empty(), "{:?}", read.bad);
        assert_eq!((&*read.good.phone_numbers, &*read.good.costs), (&[4_158_675_309][..], &[Some(85)][..]));
        let texts = [&read.good.providers[0], &read.good.notes[0]];
        assert!(texts.into_iter().flatten().eq(["Telefónica"]), "{texts:?}");
    }
    let read = all(latin1).unwrap();
    assert_eq!((read.lines(), read.bad[0].fault), (vec![2], "not UTF-8"));
    assert!(read.bad[0].reason.contains("--encoding latin1"), "{:?}", read.bad);
}

#[test]
fn the_length_of_a_row_and_of_a_reason_is_limited() {
    let long = format!("phone_number\n{}\n4158675309\n{}\n", "9".repeat(100_000), "8".repeat(4000));
    let read = all(&long).unwrap();
    assert_eq!(read.good.phone_numbers, [4_158_675_309]);
    assert_eq!(read.lines(), [2, 4]);
    assert!(read.bad.iter().all(|row| row.reason.len() < 150), "{:?}", read.bad);
}

#[test]
fn text_after_many_blanks_is_read() {
    for count in [31, 5000, 20_000] {
        let blanks = " ".repeat(count);
        let text = format!(
            "phone_number,monthly_cost\n4158675309{blanks}x\n{blanks}4158675310\n{blanks}\n4158675311\n\
            4158675312,1{blanks}x\n"
        );
        let read = all(&text).unwrap();
        let (numbers, lines) = (&read.good.phone_numbers, read.lines());
        match count {
            20_000 => assert_eq!((&numbers[..], &lines[..]), (&[4_158_675_311][..], &[2, 3, 4, 6][..])),
            _ => assert_eq!((&numbers[..], &lines[..]), (&[4_158_675_310, 4_158_675_311][..], &[2, 6][..])),
        }
    }
}

/// However a note is quoted, a number in it never becomes a row.
#[test]
fn a_number_in_a_note_never_becomes_stock() {
    let before = "phone_number,note\n4158675308,first\n";
    for note in [
        "\"call\n2125551234\nback\"",
        "\"open\n2125551234\n4158675310,\"call\n2125551234\nback\"",
        "\"a\"b\n2125551234\n\"",
        " \"a\n2125551234\n\"",
        "said \"call\n2125551234\nnow\"",
        "\"a\" \"b\n2125551234\n\"",
        "\"never closed\n2125551234\n",
    ] {
        let file = format!("{before}4158675309,{note}\n4158675311,last\n");
        match all(&file) {
            Ok(read) => assert!(!read.good.phone_numbers.contains(&2_125_551_234), "{note:?}"),
            Err(error) => assert!(format!("{error:?}").contains("line "), "{error:?}"),
        }
    }
}

#[test]
fn a_header_that_cannot_be_used_is_refused() {
    for text in ["", "\n \n", "4158675309\n", "colour,shape\n", "provider\n", "\"phone_number\n4158675309\n"] {
        assert!(all(text).is_err(), "{text:?}");
    }
    assert!(all(format!("phone_number,{}\n4158675309\n", "x".repeat(20_000))).is_err());
    assert!(all("\n \nphone_number\n").is_ok());
}

#[test]
fn lines_that_end_in_cr_alone_are_refused() {
    let long = format!("number\r{}", "4158675309\r".repeat(10_000));
    for text in ["number\r4158675309\r4158675310\r", "number,note\r4158675309,x", &long, "number\r4158675309\r\n"] {
        let refused = all(text).err();
        assert_eq!(refused, Some(Refused::File(LONE_CR.to_owned())), "{text}");
    }
    for text in ["number,\"a\r\nnote\"\r\n4158675309,\r\n", "number\r\r\n4158675309\r\r\n", "\r\nnumber\n4158675309"] {
        assert_eq!(all(text).expect(text).good.phone_numbers, [4_158_675_309], "{text:?}");
    }
}

#[test]
fn a_bad_row_keeps_its_cells_and_a_batch_is_limited() {
    let row = format!("415,{}\n", "x".repeat(10_000));
    let file = format!("phone_number,other\n{}", row.repeat(1000));
    let (sender, mut parts) = mpsc::channel(1000);
    read(file.as_bytes(), &Reading::default(), &sender).unwrap();
    let mut rows = 0;
    while let Ok(part) = parts.try_recv() {
        let Part::Rows(_, bad) = part else { continue };
        assert!(bad.iter().map(|row| row.cells.as_slice().len()).sum::<usize>() < MAX_BAD_BYTES + 20_000);
        assert!(bad.iter().all(|row| row.cells.len() == 2));
        rows += bad.len();
    }
    assert_eq!(rows, 1000);
}
