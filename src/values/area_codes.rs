//! The US area codes that the registry knows, of the North American Numbering Plan.
//!
//! Source: the NPA database of the plan's administrator, NANPA (`reports.nanpa.com/public/npa_report.csv`): the rows of
//! country US and use G (geographic) that are in service, from published copies of the reports of September 2026 (that
//! of the 30th has 378). Checked in November 2026 against libphonenumber 9.0.43. Its metadata has no other code for the
//! US or its territories, but lacks 357, 436, 457, 465, 471, 483, 621, 624, 679, 729, 837, 861 and 924, which NANPA has
//! in service.
//!
//! To add a code: wait until NANPA's report marks it as in service, not only as assigned or announced. Insert it into
//! [`GEOGRAPHIC`] in order (a test checks that), write the new date above and run `rustfmt`. In September 2026, two
//! codes were assigned but not in service: 565 (Georgia, no date) and 761 (Kentucky, July 2027). Add a toll-free code
//! to [`TOLL_FREE`] when the FCC opens it.

/// Geographic area codes of the states, DC and the territories (American Samoa 684, Guam 671, Northern Marianas 670,
/// Puerto Rico 787 and 939, US Virgin Islands 340), sorted. Codes of Canada, Bermuda and the Caribbean are not here,
/// nor non-geographic ones (500 and similar for personal services, 700, 710 of the federal government, 900).
pub const GEOGRAPHIC: &[u16] = &[
    201, 202, 203, 205, 206, 207, 208, 209, 210, 212, 213, 214, 215, 216, 217, 218, 219, 220, 223, 224, 225, 227, 228,
    229, 231, 234, 235, 239, 240, 248, 251, 252, 253, 254, 256, 260, 262, 267, 269, 270, 272, 274, 276, 279, 281, 283,
    301, 302, 303, 304, 305, 307, 308, 309, 310, 312, 313, 314, 315, 316, 317, 318, 319, 320, 321, 323, 324, 325, 326,
    327, 329, 330, 331, 332, 334, 336, 337, 339, 340, 341, 346, 347, 350, 351, 352, 353, 357, 360, 361, 363, 364, 369,
    380, 385, 386, 401, 402, 404, 405, 406, 407, 408, 409, 410, 412, 413, 414, 415, 417, 419, 423, 424, 425, 430, 432,
    434, 435, 436, 440, 442, 443, 445, 447, 448, 457, 458, 463, 464, 465, 469, 470, 471, 472, 475, 478, 479, 480, 483,
    484, 501, 502, 503, 504, 505, 507, 508, 509, 510, 512, 513, 515, 516, 517, 518, 520, 530, 531, 534, 539, 540, 541,
    551, 557, 559, 561, 562, 563, 564, 567, 570, 571, 572, 573, 574, 575, 580, 582, 585, 586, 601, 602, 603, 605, 606,
    607, 608, 609, 610, 612, 614, 615, 616, 617, 618, 619, 620, 621, 623, 624, 626, 628, 629, 630, 631, 636, 640, 641,
    645, 646, 650, 651, 656, 657, 659, 660, 661, 662, 667, 669, 670, 671, 678, 679, 680, 681, 682, 684, 686, 689, 701,
    702, 703, 704, 706, 707, 708, 712, 713, 714, 715, 716, 717, 718, 719, 720, 724, 725, 726, 727, 728, 729, 730, 731,
    732, 734, 737, 738, 740, 743, 747, 748, 754, 757, 760, 762, 763, 765, 769, 770, 771, 772, 773, 774, 775, 779, 781,
    785, 786, 787, 801, 802, 803, 804, 805, 806, 808, 810, 812, 813, 814, 815, 816, 817, 818, 820, 821, 826, 828, 830,
    831, 832, 835, 837, 838, 839, 840, 843, 845, 847, 848, 850, 854, 856, 857, 858, 859, 860, 861, 862, 863, 864, 865,
    870, 872, 878, 901, 903, 904, 906, 907, 908, 909, 910, 912, 913, 914, 915, 916, 917, 918, 919, 920, 924, 925, 928,
    929, 930, 931, 934, 936, 937, 938, 939, 940, 941, 943, 945, 947, 948, 949, 951, 952, 954, 956, 959, 970, 971, 972,
    973, 975, 978, 979, 980, 983, 984, 985, 986, 989,
];

/// Toll-free codes that are in use, sorted. 822 and the other 88X codes are only reserved.
pub const TOLL_FREE: &[u16] = &[800, 833, 844, 855, 866, 877, 888];

/// Codes of the plan's other countries, that is, Canada, Bermuda and the Caribbean, from the same sources, sorted.
pub const FOREIGN: &[u16] = &[
    204, 226, 236, 242, 246, 249, 250, 257, 263, 264, 268, 273, 284, 289, 306, 343, 345, 354, 365, 367, 368, 382, 403,
    416, 418, 428, 431, 437, 438, 441, 450, 468, 473, 474, 506, 514, 519, 548, 579, 581, 584, 587, 604, 613, 639, 647,
    649, 658, 664, 672, 683, 705, 709, 721, 742, 753, 758, 767, 778, 780, 782, 784, 807, 809, 819, 825, 829, 849, 867,
    868, 869, 873, 876, 879, 902, 905, 942,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn both() -> impl Iterator<Item = u16> {
        GEOGRAPHIC.iter().chain(TOLL_FREE).copied()
    }

    #[test]
    fn sorted_and_unique() {
        for table in [GEOGRAPHIC, TOLL_FREE, FOREIGN] {
            assert!(table.windows(2).all(|w| w[0] < w[1]), "{table:?}");
        }
    }

    #[test]
    fn within_range() {
        assert!(both().all(|code| (200..=999).contains(&code)));
    }

    #[test]
    fn no_service_codes() {
        assert!(both().all(|code| code % 100 != 11));
    }

    #[test]
    fn none_foreign_or_non_geographic() {
        for code in FOREIGN.iter().chain(&[500, 600, 622, 633, 700, 710, 900]) {
            assert!(!GEOGRAPHIC.contains(code), "{code}");
        }
    }

    #[test]
    fn has_the_territories() {
        for code in [340, 670, 671, 684, 787, 939] {
            assert!(GEOGRAPHIC.contains(&code), "{code}");
        }
    }

    #[test]
    fn disjoint() {
        assert!(TOLL_FREE.iter().all(|code| !GEOGRAPHIC.contains(code)));
    }
}
