//! What well-known clients are taken for.
use super::{REGEXES, Regexes, find};

#[test]
fn well_known_clients() {
    let regexes = Regexes::parse(REGEXES).unwrap();
    let table = [
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
            "Chrome 120.0.0.0",
            "Windows 10",
            "Other",
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36 Edg/120.0.2210.91",
            "Edge 120.0.2210.91",
            "Windows 10",
            "Other",
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/119.0.0.0 Safari/537.36 OPR/105.0.0.0",
            "Opera 105.0.0.0",
            "Windows 10",
            "Other",
        ),
        (
            "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:121.0) Gecko/20100101 Firefox/121.0",
            "Firefox 121.0",
            "Ubuntu",
            "Other",
        ),
        (
            "Mozilla/5.0 (X11; Fedora; Linux x86_64; rv:121.0) Gecko/20100101 Firefox/121.0",
            "Firefox 121.0",
            "Fedora",
            "Other",
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.2 Safari/605.1.15",
            "Safari 17.2",
            "Mac OS X 10.15.7",
            "Mac",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_2_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.2 Mobile/15E148 Safari/604.1",
            "Mobile Safari 17.2",
            "iOS 17.2.1",
            "iPhone",
        ),
        (
            "Mozilla/5.0 (iPad; CPU OS 12_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/120.0.6099.101 Mobile/15E148 Safari/604.1",
            "Chrome Mobile iOS 120.0.6099.101",
            "iOS 12.4",
            "iPad",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 16_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/121.0 Mobile/15E148 Safari/605.1.15",
            "Firefox iOS 121.0",
            "iOS 16.0",
            "iPhone",
        ),
        (
            "Mozilla/5.0 (Linux; Android 13; SM-S901B) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/112.0.0.0 Mobile Safari/537.36",
            "Chrome Mobile 112.0.0.0",
            "Android 13",
            "Samsung SM-S901B",
        ),
        (
            "Mozilla/5.0 (Linux; Android 9; SAMSUNG SM-G960F) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/9.2 Chrome/67.0.3396.87 Mobile Safari/537.36",
            "Samsung Internet 9.2",
            "Android 9",
            "Samsung SM-G960F",
        ),
        (
            "Mozilla/5.0 (Linux; Android 12; Pixel 6) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/112.0.0.0 Mobile Safari/537.36",
            "Chrome Mobile 112.0.0.0",
            "Android 12",
            "Pixel 6",
        ),
        (
            "Mozilla/5.0 (Linux; Android 5.0.1; Nexus 5 Build/LRX22C; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/43.0.2357.65 Mobile Safari/537.36",
            "Chrome Mobile WebView 43.0.2357.65",
            "Android 5.0.1",
            "Nexus 5",
        ),
        (
            "Mozilla/5.0 (Linux; U; Android 2.3.3; en-us; HTC Desire Build/GRI40) AppleWebKit/533.1 (KHTML, like Gecko) Version/4.0 Mobile Safari/533.1",
            "Android 2.3.3",
            "Android 2.3.3",
            "HTC Desire",
        ),
        (
            "Mozilla/5.0 (Android 13; Mobile; rv:121.0) Gecko/121.0 Firefox/121.0",
            "Firefox Mobile 121.0",
            "Android 13",
            "Generic Smartphone",
        ),
        (
            "Mozilla/5.0 (Linux; Android 10; moto g(7) plus) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/83.0.4103.106 Mobile Safari/537.36",
            "Chrome Mobile 83.0.4103.106",
            "Android 10",
            "Motorola moto g(7) plus",
        ),
        ("Mozilla/5.0 (Windows NT 6.1; WOW64; Trident/7.0; rv:11.0) like Gecko", "IE 11.0", "Windows 7", "Other"),
        ("Mozilla/5.0 (compatible; MSIE 9.0; Windows NT 6.0; Trident/5.0)", "IE 9.0", "Windows Vista", "Other"),
        ("Opera/9.80 (Windows NT 5.1; U; en) Presto/2.10.289 Version/12.02", "Opera 12.02", "Windows XP", "Other"),
        (
            "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
            "Chrome 120.0.0.0",
            "Chrome OS 14541.0.0",
            "Other",
        ),
        (
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            "Googlebot 2.1",
            "Other",
            "Spider",
        ),
        ("Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)", "bingbot 2.0", "Other", "Spider"),
        (
            "Mozilla/5.0 (compatible; Baiduspider/2.0; +http://www.baidu.com/search/spider.html)",
            "Baiduspider 2.0",
            "Other",
            "Spider",
        ),
        ("Mozilla/5.0 (compatible; ShopBot/0.9)", "ShopBot 0.9", "Other", "Spider"),
        (
            "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
            "FacebookBot 1.1",
            "Other",
            "Spider",
        ),
        ("curl/7.88.1", "curl 7.88.1", "Other", "Other"),
        ("Wget/1.21.3 (linux-gnu)", "Wget 1.21.3", "Linux", "Other"),
        ("python-requests/2.31.0", "Python Requests 2.31.0", "Other", "Other"),
        ("Go-http-client/1.1", "Go-http-client 1.1", "Other", "Other"),
        ("okhttp/4.12.0", "okhttp 4.12.0", "Other", "Other"),
        ("kube-probe/1.28", "kube-probe 1.28", "Other", "Spider"),
        (
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/120.0.6099.28 Safari/537.36",
            "HeadlessChrome 120.0.6099.28",
            "Linux",
            "Other",
        ),
        (
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Ubuntu Chromium/80.0.3987.87 Chrome/80.0.3987.87 Safari/537.36",
            "Chromium 80.0.3987.87",
            "Ubuntu",
            "Other",
        ),
        ("something of its own", "Other", "Other", "Other"),
    ];
    for (text, program, system, device) in table {
        assert_eq!(find(&regexes.programs, text).full(), program, "program of {text}");
        assert_eq!(find(&regexes.systems, text).full(), system, "system of {text}");
        assert_eq!(find(&regexes.devices, text).name, device, "device of {text}");
    }
}
