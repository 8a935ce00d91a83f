"""The texts of the dashboard in Indonesian, by their English text, in sections of their modules.

A text stands once, in the section of the first module that uses it. Write `koin`, `target harga`,
`peringatan`, `Anda` and `kurs` as in `sentinel/notifications/catalog_id.py`.
"""

from __future__ import annotations

TEXTS: dict[str, str] = {
    # --- app/main.py, preferences.py: the frame ---
    "Language": "Bahasa",
    "Currency": "Mata uang",
    "Time zone": "Zona waktu",
    "Hide my amounts": "Sembunyikan jumlah saya",
    "Settings": "Pengaturan",
    # --- header.py: the line at the top ---
    "Market cap, {count} coins": "Kapitalisasi pasar, {count} koin",
    "BTC share": "Pangsa BTC",
    "1 USD": "1 USD",
    "no prices yet": "belum ada harga",
    "API down, prices {age} old": "API mati, harga berumur {age}",
    "{missed} runs missed, prices {age} old": "{missed} proses terlewat, harga berumur {age}",
    "live, {age} old": "langsung, berumur {age}",
    # --- data.py: freshness and errors ---
    "{age} old": "{age} yang lalu",
    "This page shows the data of {time} ({age} ago).": (
        "Halaman ini menampilkan data {time} ({age} lalu)."
    ),
    "Nothing to show yet.": "Belum ada yang bisa ditampilkan.",
    "After `make up`, the first prices arrive within a minute.": (
        "Setelah `make up`, harga pertama tiba dalam satu menit."
    ),
    "Set the same `SENTINEL_API_TOKEN` for the API and the dashboard, then restart both.": (
        "Atur `SENTINEL_API_TOKEN` yang sama untuk API dan dasbor, lalu mulai ulang keduanya."
    ),
    (
        "Start the API with `make up` or `make api`, or set `SENTINEL_API_URL`. This page retries "
        "by itself."
    ): (
        "Jalankan API dengan `make up` atau `make api`, atau atur `SENTINEL_API_URL`. Halaman ini "
        "mencoba lagi dengan sendirinya."
    ),
    # --- table.py, chart.py ---
    "Nothing matches.": "Tidak ada yang cocok.",
    "Show all {count}": "Tampilkan semua {count}",
    "Watchlist": "Daftar pantau",
    "Whole range": "Seluruh rentang",
    "open": "pembukaan",
    "high": "tertinggi",
    "low": "terendah",
    "close": "penutupan",
    # --- pages/alerts.py ---
    "Alerts": "Peringatan",
    "Price targets": "Target harga",
    "Muted coins": "Koin yang disenyapkan",
    "Show": "Tampilkan",
    "Coin": "Koin",
    "All coins": "Semua koin",
    "Period": "Periode",
    "{days} d": "{days} hari",
    "Kind": "Jenis",
    "All": "Semua",
    "Falls": "Penurunan",
    "Rises": "Kenaikan",
    "A day later": "Sehari kemudian",
    "Went on": "Berlanjut",
    "Recovered": "Pulih",
    "Not known yet": "Belum diketahui",
    "Time": "Waktu",
    "Move": "Pergerakan",
    "Price": "Harga",
    "1 h later": "1 jam kemudian",
    "24 h later": "24 jam kemudian",
    "Outcome": "Hasil",
    "Why": "Alasan",
    "{count} alerts": "{count} peringatan",
    "the newest {count} alerts": "{count} peringatan terbaru",
    "No alert matches. The monitor sends about two alerts per coin and week.": (
        "Tidak ada peringatan yang cocok. Monitor mengirim sekitar dua peringatan per koin dan "
        "minggu."
    ),
    "Filter alerts": "Saring peringatan",
    "muted, not sent": "disenyapkan, tidak dikirim",
    "Mute 1 day": "Senyapkan 1 hari",
    "Unmute": "Aktifkan lagi",
    "Choose a coin to add a target: a preview shows how often it would have fired.": (
        "Pilih koin untuk menambah target: pratinjau menunjukkan seberapa sering target itu akan "
        "tercapai."
    ),
    "Target": "Target",
    "State": "Keadaan",
    "Details": "Rincian",
    "Open": "Aktif",
    "Done": "Selesai",
    "No price targets. A message is sent when the price reaches one.": (
        "Tidak ada target harga. Pesan dikirim saat harga mencapai target."
    ),
    "Delete": "Hapus",
    "Muted until": "Disenyapkan sampai",
    "No coin is muted. Alerts of a muted coin are recorded and not sent.": (
        "Tidak ada koin yang disenyapkan. Peringatan koin yang disenyapkan dicatat, tetapi tidak "
        "dikirim."
    ),
    # --- components.py: alerts, gaps ---
    "{change} to {price}, {time} ({age} ago)": "{change} ke {price}, {time} ({age} lalu)",
    "{change} an hour later": "{change} sejam kemudian",
    "{change} a day later": "{change} sehari kemudian",
    "the coin was muted": "koin ini disenyapkan",
    "{change} from $1": "{change} dari US$1",
    "{change} from its high": "{change} dari puncaknya",
    "{change} from its low": "{change} dari titik terendahnya",
    "{change} from its high of the week": "{change} dari puncak minggu ini",
    "{change} from its low of the week": "{change} dari titik terendah minggu ini",
    "{change} from its high before the outage": "{change} dari puncak sebelum jeda tanpa harga",
    "{change} from its low before the outage": (
        "{change} dari titik terendah sebelum jeda tanpa harga"
    ),
    "from": "dari",
    "to": "sampai",
    "missing": "terlewat",
    "status": "keadaan",
}

# Texts of `sentinel/models.py`, which commands show too.
SHARED_TEXTS = {
    "CoinGecko has no prices for this period": "CoinGecko tidak punya harga untuk periode ini",
    "found after more than 24 hours: CoinGecko has only hourly prices left": (
        "ditemukan setelah lebih dari 24 jam: CoinGecko hanya punya harga per jam"
    ),
    "CoinGecko does not know the coin": "CoinGecko tidak mengenal koin ini",
    "CoinGecko's chart is unusable; the run asks again later": (
        "grafik CoinGecko tidak dapat dipakai; proses mencobanya lagi nanti"
    ),
    "waits for the backfill, if the coin is still collected": (
        "menunggu pengisian ulang, jika koin ini masih dikumpulkan"
    ),
}
