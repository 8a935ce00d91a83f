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
    "Data provided by [CoinGecko](https://www.coingecko.com/en/api).": (
        "Data dari [CoinGecko](https://www.coingecko.com/en/api)."
    ),
    "Overview": "Ikhtisar",
    "Forecasts": "Prakiraan",
    "Portfolio": "Portofolio",
    "Paper trading": "Simulasi jual beli",
    "Pipeline": "Pipeline",
    # --- header.py: the line at the top ---
    "Market cap, {count} coins": "Kap. pasar, {count} koin",
    "BTC share": "Pangsa BTC",
    "1 USD": "1 USD",
    "no prices yet": "belum ada harga",
    "API down, prices {age} old": "API mati, harga berumur {age}",
    "{count} run missed, prices {age} old": "{count} proses terlewat, harga berumur {age}",
    "{count} runs missed, prices {age} old": "{count} proses terlewat, harga berumur {age}",
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
    "Nothing is starred yet. Click the star at the left of a row.": (
        "Belum ada yang diberi bintang. Klik bintang di kiri baris."
    ),
    # --- pages/overview.py ---
    "Star": "Bintang",
    "Star a coin: the monitor watches it and sends its alerts.": (
        "Beri bintang pada koin: monitor memantaunya dan mengirim peringatannya."
    ),
    "Rank by market cap": "Peringkat menurut kapitalisasi pasar",
    "1 h": "1 jam",
    "24 h": "24 jam",
    "7 d": "7 hari",
    "The last 7 days. Its height is at least 1% of the price.": (
        "7 hari terakhir. Tingginya paling sedikit 1% dari harga."
    ),
    "Market cap": "Kap. pasar",
    "Volume, 24 h": "Volume, 24 jam",
    "Age": "Umur",
    "Time since the price was observed": "Waktu sejak harga diamati",
    "Filter by name, symbol or id": "Saring nama, simbol, id",
    "{count} coins in {currency}": "{count} koin dalam {currency}",
    "Movers, 24 h": "Naik/turun, 24 jam",
    "Coins that rose and fell most in 24 hours": (
        "Koin yang naik dan turun paling banyak dalam 24 jam"
    ),
    "No coin has a price from 24 hours ago yet.": "Belum ada koin dengan harga 24 jam yang lalu.",
    "From the high or the low before the alert": (
        "Dari puncak atau titik terendah sebelum peringatan"
    ),
    "Ago": "Lalu",
    "The newest alerts": "Peringatan terbaru",
    "Last alerts": "Peringatan terakhir",
    (
        "No alerts yet. The monitor watches starred coins, the coins that you hold and the "
        "best-ranked ones. It sends about two alerts a week for each."
    ): (
        "Belum ada peringatan. Monitor memantau koin berbintang, koin yang Anda miliki dan koin "
        "berperingkat teratas. Monitor mengirim sekitar dua peringatan seminggu untuk tiap koin."
    ),
    "in 1 h": "dlm 1 jam",
    "in 24 h": "dlm 24 jam",
    "The star was not saved: {error}": "Bintang tidak tersimpan: {error}",
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
    # --- coin page: pages/coin.py, coin_*.py, price_target*.py, mute_control.py ---
    "No prices in this period.": "Tidak ada harga dalam periode ini.",
    "No price is stored yet. After `make up`, the first prices arrive within a minute.": (
        "Belum ada harga tersimpan. Setelah `make up`, harga pertama tiba dalam satu menit."
    ),
    "There is no coin with the id {coin_id}.": "Tidak ada koin dengan id {coin_id}.",
    "Choose one from the list.": "Pilih salah satu dari daftar.",
    "Another coin …": "Koin lain …",
    "The monitor watches the coins of the watchlist.": "Monitor mengawasi koin di daftar pantau.",
    "{hours} h": "{hours} jam",
    "Lines": "Garis",
    "Candles": "Lilin",
    "Log axis": "Sumbu log",
    "Volume": "Volume",
    "Chart": "Grafik",
    "Compare with": "Bandingkan dengan",
    "Compare with …": "Bandingkan dengan …",
    "Price of {name}": "Harga {name}",
    "Next 10 min": "10 menit ke depan",
    "target {price}": "target {price}",
    "Alert {move}: {why}": "Peringatan {move}: {why}",
    "gap": "celah",
    "backfilled": "diisi ulang",
    "4 of 5 prices": "4 dari 5 harga",
    "alert: fall": "peringatan: turun",
    "alert: rise": "peringatan: naik",
    "own purchase": "pembelian saya",
    "own sale": "penjualan saya",
    "Range, 24 h": "Rentang, 24 jam",
    "Price from": "Sumber harga",
    "{age} ago": "{age} lalu",
    "{age} ago, backfilled": "{age} lalu, diisi ulang",
    "rising": "naik",
    "falling": "turun",
    "no direction": "tanpa arah",
    "Next 10 min: {low} to {high} (4 of 5), {direction}": (
        "10 menit ke depan: {low} sampai {high} (4 dari 5), {direction}"
    ),
    "Next 10 min: {direction}; the range is not known yet.": (
        "10 menit ke depan: {direction}; rentangnya belum diketahui."
    ),
    "Next 10 min: unknown. It needs an hour of prices, at most 6 min apart.": (
        "10 menit ke depan: belum diketahui. Perlu harga selama satu jam, berjarak paling lama "
        "6 menit."
    ),
    "How good is that?": "Seberapa tepat?",
    "What they caught": "Apa yang tertangkap",
    "All alerts of this coin": "Semua peringatan koin ini",
    "No alerts of this coin yet.": "Belum ada peringatan untuk koin ini.",
    "The coin was muted, so no message was sent.": (
        "Koin ini disenyapkan, jadi tidak ada pesan yang dikirim."
    ),
    (
        "The monitor does not watch this coin. It watches the coins you hold, the best-ranked ones "
        "and your watchlist: the star above adds this one."
    ): (
        "Monitor tidak mengawasi koin ini. Yang diawasi adalah koin yang Anda miliki, koin "
        "peringkat teratas, dan daftar pantau Anda: bintang di atas menambahkan koin ini."
    ),
    "An alert comes when the price moves by {threshold}.": (
        "Peringatan muncul bila harga bergerak {threshold}."
    ),
    (
        "An alert comes when the price is {threshold} below its recent high ({high}) or above its "
        "recent low ({low})."
    ): (
        "Peringatan muncul bila harga {threshold} di bawah titik tertinggi terakhir ({high}) atau "
        "di atas titik terendah terakhir ({low})."
    ),
    "My transactions": "Transaksi saya",
    "None. Add them on the Portfolio page.": "Belum ada. Tambahkan di halaman Portofolio.",
    "{kind}: {quantity} at {price}": "{kind}: {quantity} pada {price}",
    "Bought": "Dibeli",
    "Sold": "Dijual",
    "Received in a trade": "Diterima dari pertukaran",
    "Given in a trade": "Diberikan dalam pertukaran",
    "Received from outside": "Diterima dari luar",
    "Sent away": "Dikirim keluar",
    "Gaps, last 7 days": "Celah, 7 hari terakhir",
    "From": "Dari",
    "To": "Sampai",
    "Missed runs": "Proses terlewat",
    "No gaps: every run that was due stored a price, or the backfill filled the gap.": (
        "Tidak ada celah: setiap proses terjadwal menyimpan harga, atau celahnya sudah diisi ulang."
    ),
    "Muted until {time}.": "Disenyapkan sampai {time}.",
    "Mute this coin for": "Senyapkan koin ini selama",
    "Mute alerts for …": "Senyapkan selama …",
    "1 hour": "1 jam",
    "8 hours": "8 jam",
    "1 day": "1 hari",
    "1 week": "1 minggu",
    "Alerts of a muted coin are recorded and not sent. Price targets still arrive.": (
        "Peringatan koin yang disenyapkan dicatat dan tidak dikirim. Target harga tetap dikirim."
    ),
    "New target": "Target baru",
    "the price that you wait for": "harga yang Anda tunggu",
    "The price has to": "Harga harus",
    "rise to it": "naik ke sana",
    "fall to it": "turun ke sana",
    "Choose none, and it follows from the price now.": (
        "Tanpa pilihan, arahnya mengikuti harga sekarang."
    ),
    "Until": "Sampai tanggal",
    "The last day.": "Hari terakhir.",
    "Repeat": "Ulangi",
    "Fire again after the price has returned, not once.": (
        "Kirim lagi setelah harga kembali, bukan sekali saja."
    ),
    "Do not save": "Jangan simpan",
    "Saved: {target}": "Tersimpan: {target}",
    "Enter a price first.": "Isi harga dahulu.",
    "At or above {price}, once": "Pada atau di atas {price}, sekali",
    "At or above {price}, each time": "Pada atau di atas {price}, setiap kali",
    "At or below {price}, once": "Pada atau di bawah {price}, sekali",
    "At or below {price}, each time": "Pada atau di bawah {price}, setiap kali",
    "The price is there already: it has to return before the target can fire.": (
        "Harga sudah di sana: harga harus kembali dahulu sebelum target berlaku."
    ),
    "No prices of this coin are stored yet.": "Belum ada harga koin ini yang tersimpan.",
    "It would not have fired in the last {age}.": (
        "Dalam {age} terakhir target ini tidak akan tercapai."
    ),
    "It would have fired once in the last {age}: {time}.": (
        "Dalam {age} terakhir target ini akan tercapai sekali: {time}."
    ),
    "It would have fired {count} times in the last {age}: {times}.": (
        "Dalam {age} terakhir target ini akan tercapai {count} kali: {times}."
    ),
    "It would have fired on {time}.": "Target ini akan tercapai pada {time}.",
    "The price crossed it {count} times in the last {age}: {times}.": (
        "Harga melewatinya {count} kali dalam {age} terakhir: {times}."
    ),
    "fired {time}": "tercapai {time}",
    "fired {count} times, last {time}": "tercapai {count} kali, terakhir {time}",
    "expired {time}": "kedaluwarsa {time}",
    "waits until the price has returned": "menunggu sampai harga kembali",
    "until {time}": "sampai {time}",
    # --- forecast_scores.py, pages/forecasts.py ---
    "last day": "sehari terakhir",
    "last {days} days": "{days} hari terakhir",
    "Track record, {span}: too early to tell ({count} forecasts scored).": (
        "Rekam jejak, {span}: belum dapat dinilai ({count} prakiraan dinilai)."
    ),
    (
        "Track record, {span}: the band held {held} prices (calm hours: {calm}, wild hours: "
        "{wild}); {promised} is promised."
    ): (
        "Rekam jejak, {span}: pita memuat {held} harga (jam tenang: {calm}, jam bergejolak: "
        "{wild}); yang dijanjikan {promised}."
    ),
    "The line has a real edge over expecting no change: its error is {error} times as large.": (
        "Garis benar-benar lebih baik daripada menduga tanpa perubahan: kesalahannya {error} kali."
    ),
    "The line has no edge over expecting no change: its error is {error} times as large.": (
        "Garis tidak lebih baik daripada menduga tanpa perubahan: kesalahannya {error} kali."
    ),
    "Its {count} directions are too few to judge.": (
        "{count} arahnya terlalu sedikit untuk dinilai."
    ),
    "Its directions were right in {right}: clearly better than tossing a coin.": (
        "Arahnya benar pada {right}: jelas lebih baik daripada melempar koin."
    ),
    "Its directions were right in {right}: no better than tossing a coin.": (
        "Arahnya benar pada {right}: tidak lebih baik daripada melempar koin."
    ),
    "Band held": "Pita memuat",
    "In calm hours": "Di jam tenang",
    "In wild hours": "Di jam bergejolak",
    "of {count} prices": "dari {count} harga",
    "Score of the band": "Skor pita",
    "no change: {score}": "tanpa perubahan: {score}",
    "Scored": "Dinilai",
    "Score of no change": "Skor tanpa perubahan",
    "Error of the line": "Kesalahan garis",
    "Direction right": "Arah benar",
    "too early": "terlalu dini",
    "{share} of {count}": "{share} dari {count}",
    "All coins, {span}": "Semua koin, {span}",
    "Best-ranked coins, last 7 days": "Koin peringkat teratas, 7 hari terakhir",
    "No forecast was scored yet. The first ones come after an hour of prices.": (
        "Belum ada prakiraan yang dinilai. Yang pertama muncul setelah satu jam harga."
    ),
    (
        "Every five minutes each coin gets a band that should hold its price ten minutes later, "
        "four times out of five. A coin's calm and wild hours are the thirds of its last day in "
        "which its price moved least and most. The score is the band's width plus a penalty for "
        "each miss, as a share of the price: less is better. The score of no change is that of a "
        "band with the width of the last day's changes, the same in calm and in wild hours. An "
        "error of the line above 1 is larger than that of expecting no change."
    ): (
        "Setiap lima menit tiap koin mendapat pita yang empat dari lima kali seharusnya memuat "
        "harganya sepuluh menit kemudian. Jam tenang dan jam bergejolak adalah sepertiga hari "
        "terakhir dengan pergerakan harga paling kecil dan paling besar. Skor adalah lebar pita "
        "ditambah denda untuk tiap kegagalan, sebagai bagian dari harga: makin kecil makin baik. "
        "Skor tanpa perubahan adalah skor pita selebar perubahan sehari terakhir, sama di jam "
        "tenang dan jam bergejolak. Kesalahan garis di atas 1 lebih besar daripada menduga tanpa "
        "perubahan."
    ),
    # --- equity_chart.py, pages/paper_trading.py ---
    "Value of the wallet {name}": "Nilai dompet {name}",
    "closed {time}: {strategy}": "ditutup {time}: {strategy}",
    "Buy and hold": "Beli dan simpan",
    "{coin} bought at {price}": "{coin} dibeli pada {price}",
    "{coin} sold at {price}": "{coin} dijual pada {price}",
    "bought": "dibeli",
    "sold": "dijual",
    "There is no wallet yet. Open one; the monitor then steps it with every run:": (
        "Belum ada dompet. Buka satu; lalu monitor menjalankannya pada setiap proses:"
    ),
    "Since": "Sejak",
    "Trades": "Transaksi jual beli",
    "Rejected orders": "Order ditolak",
    "Figure": "Angka",
    "Results": "Hasil dompet",
    "Ratios come after ten positions sold and 30 days: before, they are luck.": (
        "Rasio muncul setelah sepuluh posisi terjual dan 30 hari: sebelumnya hanya kebetulan."
    ),
    "Total return": "Imbal hasil",
    "Value if sold now": "Nilai bila dijual sekarang",
    "Maximum drawdown": "Penurunan maksimum",
    "Invested on average": "Rata-rata diinvestasikan",
    "Sharpe ratio": "Rasio Sharpe",
    "Sortino ratio": "Rasio Sortino",
    "Sales with a profit": "Penjualan yang untung",
    "Cash": "Kas",
    "an order waits for the next price": "satu order menunggu harga berikutnya",
    "Positions": "Posisi",
    "Side": "Sisi",
    "buy": "beli",
    "sell": "jual",
    "if sold now": "bila dijual sekarang",
    "No trades yet.": "Belum ada transaksi.",
    # --- alert_score.py ---
    "The coin has been watched for less than a day: it is too early to judge alerts.": (
        "Koin ini diawasi kurang dari sehari: peringatannya belum dapat dinilai."
    ),
    (
        "For comparison: a fixed threshold of {threshold} for this coin, chosen in hindsight, "
        "would have announced {caught} of them."
    ): (
        "Sebagai perbandingan: ambang tetap {threshold} untuk koin ini, dipilih setelah kejadian, "
        "akan memberitahukan {caught} di antaranya."
    ),
    "From {start} to {end} {zone}, counted once an hour.": (
        "Dari {start} sampai {end} {zone}, dihitung sekali sejam."
    ),
    "The price did not fall by {depth} within 24 hours in the last {age}.": (
        "Dalam {age} terakhir harga tidak turun {depth} dalam 24 jam."
    ),
    (
        "Of {count} fall of {depth} or more within 24 hours in the last {age}, these alerts "
        "announced {caught}."
    ): (
        "Dari {count} penurunan {depth} atau lebih dalam 24 jam selama {age} terakhir, peringatan "
        "ini memberitahukan {caught}."
    ),
    (
        "Of {count} falls of {depth} or more within 24 hours in the last {age}, these alerts "
        "announced {caught}."
    ): (
        "Dari {count} penurunan {depth} atau lebih dalam 24 jam selama {age} terakhir, peringatan "
        "ini memberitahukan {caught}."
    ),
    "Typically this was as soon as the price had fallen by {depth}.": (
        "Biasanya segera setelah harga turun {depth}."
    ),
    "Typically this was {age} after the price had fallen by {depth}.": (
        "Biasanya {age} setelah harga turun {depth}."
    ),
    "Typically this was {age} before the price had fallen by {depth}.": (
        "Biasanya {age} sebelum harga turun {depth}."
    ),
    "{count} panic alert was raised outside of such a fall.": (
        "{count} peringatan panik muncul di luar penurunan seperti itu."
    ),
    "{count} panic alerts were raised outside of such a fall.": (
        "{count} peringatan panik muncul di luar penurunan seperti itu."
    ),
    "In all there were {rate} alerts a week, with reversals.": (
        "Seluruhnya ada {rate} peringatan seminggu, termasuk pembalikan."
    ),
    # --- portfolio/transaction_dialog.py, elements/: add and edit transactions ---
    "Add a transaction": "Tambah transaksi",
    "Edit the transaction": "Ubah transaksi",
    "Buy": "Beli",
    "Sell": "Jual",
    "Trade": "Tukar",
    "Transfer": "Transfer",
    "Reward": "Hadiah",
    "One coin for another: a sale and a purchase of the same value.": (
        "Satu koin ditukar dengan koin lain: penjualan dan pembelian senilai sama."
    ),
    "Between own wallets it changes no profit, only its fee does.": (
        "Antara dompet sendiri laba tidak berubah, kecuali karena biayanya."
    ),
    "Coins for nothing, such as staking: their whole value is profit.": (
        "Koin gratis, misalnya dari staking: seluruh nilainya adalah laba."
    ),
    "Coin given": "Koin yang diberikan",
    "Coin received": "Koin yang diterima",
    "type a name or symbol": "ketik nama atau simbol",
    "Which one?": "Yang mana?",
    "CoinGecko lists no such coin.": "Koin ini tidak ada di CoinGecko.",
    "Direction": "Arah",
    "between own wallets": "antara dompet sendiri",
    "from outside": "dari luar",
    "to outside": "ke luar",
    "Wallet": "Dompet",
    "From wallet": "Dari dompet",
    "To wallet": "Ke dompet",
    "main wallet; type a new name": "dompet utama; ketik nama baru",
    "Date": "Tanggal",
    "Time, {zone}": "Waktu, {zone}",
    "Quantity": "Jumlah koin",
    "Quantity given": "Jumlah yang diberikan",
    "Quantity received": "Jumlah yang diterima",
    "Value of the coins given": "Nilai koin yang diberikan",
    "Price is": "Harga adalah",
    "per coin": "per koin",
    "in total": "seluruhnya",
    "Fee": "Biaya",
    "Note": "Catatan",
    "Price then: {price}, of {time}. Leave the field empty to use it.": (
        "Harga saat itu: {price}, dari {time}. Kosongkan kolom untuk memakainya."
    ),
    "No price of that time is stored: enter the one that you paid.": (
        "Harga saat itu tidak tersimpan: masukkan harga yang Anda bayar."
    ),
    "Rupiah per US dollar that day": "Rupiah per dolar AS pada hari itu",
    "Choose a coin.": "Pilih koin.",
    "The date or the time is in the future.": "Tanggal atau waktunya di masa depan.",
    "Enter the quantity.": "Masukkan jumlah koin.",
    "Enter the quantity without a sign: the kind says its direction.": (
        "Masukkan jumlah tanpa tanda: jenisnya menentukan arah."
    ),
    "Enter the coin received and its quantity.": "Masukkan koin yang diterima dan jumlahnya.",
    "Enter the price.": "Masukkan harga.",
    "The price is 0. A reward has no price, a purchase has.": (
        "Harganya 0. Hadiah tidak punya harga, pembelian punya."
    ),
    ("The price then was {price}. Is the price you entered in the right currency, and per coin?"): (
        "Harga saat itu {price}. Apakah harga yang Anda masukkan dalam mata uang yang "
        "benar, dan per koin?"
    ),
    "Save": "Simpan",
    "Save anyway": "Tetap simpan",
    "The transaction was added.": "Transaksi telah ditambahkan.",
    "The change was saved.": "Perubahan telah disimpan.",
    "Nothing was changed: more coins would leave the wallet than it holds.": (
        "Tidak ada yang diubah: koin yang keluar lebih banyak daripada isi dompet."
    ),
    "{number} could be {large} or {small}: write one of them.": (
        "{number} bisa berarti {large} atau {small}: tulis salah satunya."
    ),
    "{entered} is not a number.": "{entered} bukan angka.",
    # --- portfolio/import_dialog.py: import an exchange's file ---
    "Import transactions": "Impor transaksi",
    (
        "Files of Binance, Coinbase, Kraken, Indodax, Tokocrypto and Pintu are "
        "recognized. Other files need their columns chosen once. Importing a file again "
        "adds nothing."
    ): (
        "File dari Binance, Coinbase, Kraken, Indodax, Tokocrypto, dan Pintu dikenali. "
        "Untuk file lain, kolomnya perlu dipilih sekali. Mengimpor file yang sama lagi "
        "tidak menambah apa pun."
    ),
    "CSV file": "File CSV",
    "Into wallet": "Ke dalam dompet",
    "Stablecoins are US dollars": "Stablecoin adalah dolar AS",
    "USDT, USDC and others count as money, not as coins that you hold.": (
        "USDT, USDC, dan lainnya dihitung sebagai uang, bukan sebagai koin yang Anda miliki."
    ),
    "Import deposits and withdrawals": "Impor setoran dan penarikan",
    "Turn it off if both sides of your transfers are in files that you import.": (
        "Matikan bila kedua sisi transfer Anda ada dalam file yang Anda impor."
    ),
    "Unknown format": "Format tidak dikenal",
    "Choose which column of the file holds what.": "Pilih kolom mana dalam file yang berisi apa.",
    "First lines of the file": "Baris pertama file",
    "not in the file": "tidak ada dalam file",
    "Kind: buy or sell": "Jenis: beli atau jual",
    "Pair, such as BTC/USDT": "Pasangan, misalnya BTC/USDT",
    "Price of one coin": "Harga satu koin",
    "Total without fee": "Total tanpa biaya",
    "Currency of the fee": "Mata uang biaya",
    "Status": "Status",
    "Rupiah per US dollar, for days without a stored rate": (
        "Rupiah per dolar AS, untuk hari tanpa kurs tersimpan"
    ),
    "Dates have the": "Tanggal ditulis dengan",
    "day first: 31/12": "hari dahulu: 31/12",
    "month first: 12/31": "bulan dahulu: 12/31",
    "Numbers are written as": "Angka ditulis sebagai",
    "Symbols of several coins: {list}": "Simbol milik beberapa koin: {list}",
    "rank {rank}": "peringkat {rank}",
    "no rank": "tanpa peringkat",
    "Price in USD, line {number}": "Harga dalam USD, baris {number}",
    "Preview": "Pratinjau",
    "Filter lines": "Saring baris",
    "Line": "Baris",
    "Price, USD": "Harga, USD",
    "Fee, USD": "Biaya, USD",
    "New": "Baru",
    "Imported before": "Sudah diimpor",
    "Ignored": "Diabaikan",
    "Problem": "Masalah",
    "{new} new, {duplicate} imported before, {ignored} ignored, {problem} with problems.": (
        "{new} baru, {duplicate} sudah diimpor, {ignored} diabaikan, {problem} bermasalah."
    ),
    "Import {count} transactions": "Impor {count} transaksi",
    "{count} transactions were imported.": "{count} transaksi telah diimpor.",
    # --- pages/portfolio.py, portfolio/: Portfolio page ---
    "Import": "Impor",
    "Export": "Ekspor",
    "Share a link": "Bagikan tautan",
    "Share": "Bagian",
    "1 y": "1 th",
    "Close": "Tutup",
    "Undo": "Urungkan",
    (
        "The portfolio is empty. Add a transaction, or import the file of an exchange: "
        "Binance, Coinbase, Kraken, Indodax, Tokocrypto, Pintu, or a CSV of your own."
    ): (
        "Portofolio masih kosong. Tambahkan transaksi, atau impor file bursa: Binance, "
        "Coinbase, Kraken, Indodax, Tokocrypto, Pintu, atau CSV Anda sendiri."
    ),
    "The transaction was deleted.": "Transaksi telah dihapus.",
    "The transaction is back.": "Transaksi telah dikembalikan.",
    "Missing, and left out of the sums: {missing}": (
        "Tidak diketahui, dan tidak masuk dalam jumlah: {missing}"
    ),
    "Net worth": "Kekayaan bersih",
    "Net invested": "Modal bersih",
    "put in minus taken out": "masuk dikurangi keluar",
    "Total profit": "Laba total",
    "Profit, 24 h": "Laba, 24 jam",
    "XIRR, per year": "XIRR, per tahun",
    "since the beginning": "sejak awal",
    "Net worth over time": "Kekayaan bersih dari waktu ke waktu",
    "Profit, share of what was invested": "Laba, bagian dari modal",
    "Profit": "Laba",
    "Realized": "Terealisasi",
    "Unrealized": "Belum terealisasi",
    "Fees": "Biaya-biaya",
    "Rupiah effect": "Pengaruh rupiah",
    "Total": "Total",
    "Last 24 hours": "24 jam terakhir",
    "Since the beginning": "Sejak awal",
    "Returns": "Imbal hasil",
    "Return": "Imbal hasil per periode",
    "Time-weighted": "Tertimbang waktu",
    "Payments in and out do not count.": "Uang masuk dan keluar tidak dihitung.",
    "Weighted by your payments.": "Ditimbang menurut pembayaran Anda.",
    "Bitcoin": "Bitcoin",
    "24 hours": "24 jam",
    "7 days": "7 hari",
    "30 days": "30 hari",
    "60 days": "60 hari",
    "1 year": "1 tahun",
    "Unknown: {reason}.": "Tidak diketahui: {reason}.",
    "The same payments would be worth: {list}.": "Pembayaran yang sama akan bernilai: {list}.",
    "in Bitcoin": "dalam Bitcoin",
    "as US dollars": "sebagai dolar AS",
    "Allocation": "Alokasi",
    "{count} others": "{count} lainnya",
    "Holdings": "Kepemilikan",
    "Value": "Nilai",
    "Cost, average": "Modal, rata-rata",
    "Cost, FIFO": "Modal, FIFO",
    "Price age": "Umur harga",
    "Missing": "Tidak diketahui",
    "Wallets": "Dompet-dompet",
    "main wallet": "dompet utama",
    "Holds": "Isi",
    "Transactions": "Transaksi",
    "Filter transactions": "Saring transaksi",
    "{count} transactions": "{count} transaksi",
    "the newest {count} transactions": "{count} transaksi terbaru",
    "Value, USD": "Nilai, USD",
    "Edit": "Ubah",
    # --- share_dialog.py: links that show percentages only ---
    "Share the portfolio": "Bagikan portofolio",
    (
        "Everybody with the link sees shares and returns in percent: no amounts, no "
        "quantities, no dates of transactions. It can be revoked at any time."
    ): (
        "Tautan menampilkan pembagian dan imbal hasil dalam persen kepada siapa pun yang "
        "memilikinya: tanpa jumlah uang, jumlah koin, atau tanggal transaksi. Tautan "
        "dapat dicabut kapan saja."
    ),
    "For whom": "Untuk siapa",
    "Valid for": "Berlaku selama",
    "{days} days": "{days} hari",
    "no end": "tanpa batas",
    "Create a link": "Buat tautan",
    "Copy the link now: it is not shown again.": (
        "Salin tautan sekarang: tidak akan ditampilkan lagi."
    ),
    "Links": "Tautan",
    "Created": "Dibuat",
    "Last opened": "Terakhir dibuka",
    "Valid until": "Berlaku sampai",
    "Revoke": "Cabut",
    "There are no links.": "Belum ada tautan.",
    # --- pages/pipeline.py, pipeline/: Pipeline page ---
    "Slots of {minutes} min, 7 days": "Slot {minutes} menit, 7 hari",
    "Slots by UTC day, 60 days": "Slot per hari UTC, 60 hari",
    "Rejected entries": "Data yang ditolak",
    "Reason": "Sebab",
    "All reasons": "Semua sebab",
    "Health": "Kesehatan",
    "Free quotas, this month": "Kuota gratis bulan ini",
    "Processes": "Proses",
    "Backups": "Cadangan",
    "Slots": "Slot",
    "Public status page: 60 days, incidents, market": (
        "Halaman status publik: 60 hari, insiden, pasar"
    ),
    (
        "History of the first {coins} coins: {observed} observed, {backfilled} backfilled, "
        "{open} open."
    ): (
        "Riwayat {coins} koin pertama: {observed} teramati, {backfilled} diisi ulang, "
        "{open} kosong."
    ),
    "The next run is skipped: {reason}.": "Pengambilan berikutnya dilewati: {reason}.",
    "Runs have stopped: {reason}.": "Pengambilan dihentikan: {reason}.",
    "The first run fills this strip.": "Pengambilan data pertama akan mengisi bagian ini.",
    (
        "{active} active, {inactive} inactive, {delisted} delisted. Compared with CoinGecko's list "
        "{age} ago."
    ): (
        "{active} aktif, {inactive} nonaktif, {delisted} dihapus dari daftar. Dibandingkan dengan "
        "daftar CoinGecko {age} lalu."
    ),
    "Longest pause: {pause}, from {time}.": "Jeda terpanjang: {pause}, mulai {time}.",
    "{delivered} of {expected} slots delivered, {backfilled} backfilled, {open} open": (
        "{delivered} dari {expected} slot terkirim, {backfilled} diisi ulang, {open} kosong"
    ),
    "delivered": "terkirim",
    "open slot": "kosong",
    "no slot was due": "tidak ada slot yang jatuh tempo",
    "Database": "Basis data",
    "Age of the prices": "Umur harga sekarang",
    "Last run": "Pengambilan terakhir",
    "Messages": "Pesan",
    "Telegram commands": "Perintah Telegram",
    "Backup": "Pencadangan",
    "Disk": "Penyimpanan",
    "Clock": "Jam",
    "Monitor's loop": "Putaran monitor",
    "Scheduled runs": "Pengambilan terjadwal",
    "Archive": "Arsip",
    "Demo data": "Data demo",
    "Daily summary": "Ringkasan harian",
    "Alert score": "Nilai peringatan",
    "Monitor's figures for the public page": "Angka monitor untuk halaman publik",
    "Public page": "Halaman publik",
    "well": "baik",
    "warning": "peringatan",
    "failed": "gagal",
    "{amount} used": "{amount} terpakai",
    "{used} of {limit}": "{used} dari {limit}",
    "{amount} by the month's end": "{amount} pada akhir bulan",
    "no limit": "tanpa batas kuota",
    "enough": "cukup",
    "nearly used up": "hampir habis",
    "used up": "habis",
    "h": "jam",
    "late, last active {age} ago": "terlambat, terakhir aktif {age} lalu",
    "Last verified backup": "Cadangan terverifikasi terakhir",
    "{age} ago: {rows} rows, {size}, restored and compared": (
        "{age} lalu: {rows} baris, {size}, sudah dipulihkan dan dibandingkan"
    ),
    "There is no backup yet": "Belum ada cadangan",
    "Run backup_db.sh, or let cron run it every night.": (
        "Jalankan backup_db.sh, atau biarkan cron menjalankannya setiap malam."
    ),
    "Failed {age} ago": "Gagal {age} lalu",
    # --- pipeline/tables.py, pipeline/quarantine_dialog.py ---
    "Rejected entries by reason": "Data yang ditolak menurut sebab",
    "Open entries": "Terbuka",
    "Replayed": "Diproses ulang",
    "Discarded": "Dibuang",
    "Newest": "Terbaru",
    "Replay": "Proses ulang",
    "Discard": "Buang",
    "No entry of CoinGecko's responses was rejected in the last 60 days.": (
        "Tidak ada data dari CoinGecko yang ditolak dalam 60 hari terakhir."
    ),
    "Coin and reason": "Koin dan sebab",
    "Open rejected entries": "Data ditolak yang masih terbuka",
    "Entry": "Isi",
    "As CoinGecko sent it": "Seperti yang dikirim CoinGecko",
    "Filter entries": "Saring data",
    "the newest {count} entries": "{count} data terbaru",
    "No rejected entry is open.": "Tidak ada data ditolak yang terbuka.",
    "Runs": "Pengambilan data",
    "Last runs": "Pengambilan data terakhir",
    "complete": "lengkap",
    "partial": "sebagian",
    "skipped": "dilewati",
    "Prices": "Harga-harga",
    "Valid prices that the run received": "Harga sah yang diterima",
    "Backfilled": "Diisi ulang",
    "Rejected": "Ditolak",
    "Missing coins": "Koin tanpa harga",
    "Coins that CoinGecko left out": "Koin yang tidak disertakan CoinGecko",
    "Credits": "Kredit",
    "Calls that CoinGecko counts": "Panggilan yang dihitung CoinGecko",
    "Duration": "Lama",
    "s": "dtk",
    "There are no runs yet. After `make up`, the first one starts at once.": (
        "Belum ada pengambilan data. Setelah `make up`, yang pertama langsung dimulai."
    ),
    "Inactive coins": "Koin nonaktif",
    "Bad responses": "Jawaban buruk",
    "In a row. Three make a coin inactive, one good one makes it active again.": (
        "Berturut-turut. Tiga kali membuat koin nonaktif, satu jawaban baik mengaktifkannya lagi."
    ),
    "Next probe": "Percobaan berikutnya",
    "inactive": "nonaktif",
    "active": "aktif",
    "No coin is inactive, and none had a bad response last.": (
        "Tidak ada koin nonaktif, dan tidak ada yang terakhir mendapat jawaban buruk."
    ),
    "Gaps": "Celah",
    "Gaps of the last 7 days": "Celah 7 hari terakhir",
    "Coins": "Koin-koin",
    "Longest": "Terpanjang",
    "No gaps: every run that was due stored its prices, or the backfill did.": (
        "Tidak ada celah: setiap pengambilan yang jatuh tempo menyimpan harga, atau celahnya sudah "
        "diisi ulang."
    ),
    "Replay rejected entries": "Proses ulang data yang ditolak",
    "Discard rejected entries": "Buang data yang ditolak",
    "Entries to close for good: {count}. No replay loads them.": (
        "Data yang akan ditutup selamanya: {count}. Pemrosesan ulang tidak akan memuatnya."
    ),
    "Today's validation accepts none of them ({count}).": (
        "Pemeriksaan saat ini tidak menerima satu pun ({count})."
    ),
    "Prices to store: {loaded}, stored already: {before}, entries that stay open: {refused}.": (
        "Harga yang akan disimpan: {loaded}, sudah tersimpan: {before}, tetap terbuka: {refused}."
    ),
    "Prices stored: {loaded}, stored before: {before}, entries that stay open: {refused}.": (
        "Harga disimpan: {loaded}, sudah tersimpan: {before}, tetap terbuka: {refused}."
    ),
    "Entries discarded: {count}.": "Data dibuang: {count}.",
    "Refused: {reasons}.": "Ditolak lagi: {reasons}.",
    "why, kept with the entries": "alasannya, disimpan bersama data",
    "Replay ({count})": "Proses ulang ({count})",
    "Discard ({count})": "Buang ({count})",
    "Cancel": "Batal",
    "Actions": "Tindakan",
    "Choose at least the time, the quantity, and the coin or the pair.": (
        "Pilih setidaknya waktu, jumlah koin, dan koin atau pasangannya."
    ),
}

# Texts of the API, `sentinel/models.py` and `sentinel/site/labels.py`, which others show too.
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
    "unknown reason": "alasan tidak diketahui",
    "no price": "tidak ada harga",
    "the price is not a number": "harga bukan angka",
    "the price is negative": "harga negatif",
    "the price is implausibly high": "harga terlalu tinggi untuk dipercaya",
    "the price has no time": "harga tidak punya waktu",
    "the price lies in the future": "waktu harga ada di masa depan",
    "the price is older than the retention": "harga lebih tua daripada masa simpan",
    "the entry cannot be read": "data tidak dapat dibaca",
    "CoinGecko left the coin out of its response": "CoinGecko tidak menyertakan koin ini",
    "CoinGecko no longer lists the coin": "CoinGecko tidak lagi mencantumkan koin ini",
    "Neon compute": "Komputasi Neon",
    "Neon storage": "Penyimpanan Neon",
    "Neon egress": "Data keluar Neon",
    "CoinGecko credits": "Kredit CoinGecko",
    "GitHub Actions minutes": "Menit GitHub Actions",
    "a yearly rate needs 30 days": "imbal hasil per tahun membutuhkan 30 hari",
}
