// Boost.Beast, as a contender: runs the tasks of `one` with the same arguments, and prints the same
// figures. Blocking calls, and OpenSSL for TLS.
//
// usage: beast beast TASK LEN COUNT KIND TRANSPORT --server FILE --message FILE

#include <sched.h>
#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/ssl.hpp>
#include <boost/beast/websocket.hpp>
#include <boost/beast/websocket/ssl.hpp>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace asio = boost::asio;
namespace ssl = boost::asio::ssl;
namespace beast = boost::beast;
namespace websocket = boost::beast::websocket;
using tcp = asio::ip::tcp;
using Plain = websocket::stream<tcp::socket>;
using Tls = websocket::stream<ssl::stream<tcp::socket>>;

namespace {

constexpr std::size_t kMost = std::size_t{65} << 20;
constexpr int kWarm = 10;
constexpr std::size_t kBatch = 64;

[[noreturn]] void fail(std::string const& what) {
    std::cerr << "beast: " << what << std::endl;
    std::exit(1);
}

void pin() {
    cpu_set_t allowed;
    sched_getaffinity(0, sizeof allowed, &allowed);
    for (int core = 0; core < CPU_SETSIZE; ++core) {
        if (CPU_ISSET(core, &allowed)) {
            cpu_set_t one;
            CPU_ZERO(&one);
            CPU_SET(core, &one);
            sched_setaffinity(0, sizeof one, &one);
            return;
        }
    }
}

std::string read_file(std::string const& name) {
    std::ifstream file(name, std::ios::binary);
    if (!file) fail("cannot read " + name);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::uint64_t clock(clockid_t id) {
    timespec now;
    clock_gettime(id, &now);
    return std::uint64_t(now.tv_sec) * 1000000000 + std::uint64_t(now.tv_nsec);
}

// Returns a line of /proc/self/status, in bytes.
std::size_t status(std::string const& name) {
    std::ifstream file("/proc/self/status");
    std::string word;
    while (file >> word) {
        if (word == name + ":") {
            std::size_t kib;
            file >> kib;
            return kib * 1024;
        }
    }
    fail("no " + name);
}

std::size_t peak_before;

void start_peak() {
    std::ofstream("/proc/self/clear_refs") << "5";
    peak_before = status("VmRSS");
}

void print_peak() {
    std::size_t const peak = status("VmHWM");
    std::cout << "peak=" << (peak > peak_before ? peak - peak_before : 0) << "\n";
}

template <class Action>
void measure(std::size_t count, Action action) {
    auto const cpu = clock(CLOCK_PROCESS_CPUTIME_ID), wall = clock(CLOCK_MONOTONIC);
    action();
    auto const wall_took = clock(CLOCK_MONOTONIC) - wall;
    auto const cpu_took = clock(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    std::printf("wall=%.6f\ncpu=%.6f\n", double(wall_took) / double(count),
                double(cpu_took) / double(count));
    std::fflush(stdout);
}

struct Task {
    std::string name, kind, transport, plain, tls, pem, message;
    std::size_t len = 0, count = 0;
    asio::io_context context;
    ssl::context ssl_context{ssl::context::tlsv13_client};
    SSL_SESSION* session = nullptr;
    beast::flat_buffer buffer;

    bool text() const { return kind != "binary"; }

    tcp::socket connect_tcp(std::string const& address) {
        auto const colon = address.rfind(':');
        tcp::socket socket(context);
        socket.connect({asio::ip::make_address(address.substr(0, colon)),
                        std::uint16_t(std::stoi(address.substr(colon + 1)))});
        socket.set_option(tcp::no_delay(true));
        return socket;
    }

    template <class Stream>
    void prepare(Stream& ws) {
        ws.read_message_max(kMost);
        ws.auto_fragment(false);
        ws.text(text());
        if (transport == "deflate") {
            websocket::permessage_deflate options;
            options.client_enable = true;
            // As landline. Its own defaults are 8 and 4.
            options.compLevel = 6;
            options.memLevel = 8;
            ws.set_option(options);
        }
    }

    std::unique_ptr<Plain> open_plain(std::string const& path) {
        auto ws = std::make_unique<Plain>(connect_tcp(plain));
        prepare(*ws);
        ws->handshake(plain, path);
        return ws;
    }

    std::unique_ptr<Tls> open_tls(std::string const& path) {
        auto ws = std::make_unique<Tls>(connect_tcp(tls), ssl_context);
        auto* connection = ws->next_layer().native_handle();
        SSL_set_tlsext_host_name(connection, "localhost");
        if (session != nullptr) SSL_set_session(connection, session);
        ws->next_layer().handshake(ssl::stream_base::client);
        prepare(*ws);
        ws->handshake("localhost", path);
        return ws;
    }

    // Receives a message, and checks its kind, its length and its first and last byte.
    template <class Stream>
    void receive(Stream& ws, std::size_t count, std::string const& expected, bool is_text) {
        for (std::size_t at = 0; at < count; ++at) {
            buffer.consume(buffer.size());
            ws.read(buffer);
            auto const bytes = static_cast<char const*>(buffer.cdata().data());
            bool const right =
                ws.got_text() == is_text && buffer.size() == expected.size() &&
                (expected.empty() || (bytes[0] == expected.front() &&
                                      bytes[expected.size() - 1] == expected.back()));
            if (!right) fail("another message came");
        }
    }

    template <class Stream>
    void send(Stream& ws, std::string const& payload, std::size_t count) {
        for (std::size_t at = 0; at < count; ++at) ws.write(asio::buffer(payload));
    }

    template <class Stream>
    void close(Stream& ws) {
        ws.close(websocket::close_code::normal);
    }

    void remember(Plain&) {}

    void remember(Tls& ws) {
        if (session != nullptr) SSL_SESSION_free(session);
        session = SSL_get1_session(ws.next_layer().native_handle());
    }

    template <class Open>
    void run(Open open) {
        auto const number = [](std::size_t value) { return std::to_string(value); };
        std::size_t const warm = (count + kWarm - 1) / kWarm;
        if (name == "receive") {
            // The payload itself would show in the peak of memory.
            std::string path = "/blast/" + kind + "/" + number(len) + "/" + number(warm) + "/" +
                               number(count);
            start_peak();
            auto ws = open(path);
            send(*ws, "go", 1);
            receive(*ws, warm, message, text());
            measure(count, [&] {
                send(*ws, "go", 1);
                receive(*ws, count, message, text());
            });
            print_peak();
        } else if (name == "send" || name == "batch") {
            // It has no batches: each frame is written by itself.
            std::size_t const step = name == "batch" ? kBatch : 1;
            auto const round = [&](std::size_t value) { return (value + step - 1) / step * step; };
            std::size_t const first = round(warm), then = round(count);
            std::size_t const sure = transport == "deflate" ? 0 : len;
            start_peak();
            auto ws = open("/swallow/" + number(sure) + "/" + number(first) + "/" + number(then));
            send(*ws, message, first);
            receive(*ws, 1, "", false);
            measure(then, [&] {
                send(*ws, message, then);
                receive(*ws, 1, "", false);
            });
            print_peak();
        } else if (name == "echo") {
            auto ws = open("/echo");
            std::vector<std::uint64_t> trips(count);
            auto const trip = [&](std::uint64_t& took) {
                auto const began = clock(CLOCK_MONOTONIC);
                send(*ws, message, 1);
                receive(*ws, 1, message, text());
                took = clock(CLOCK_MONOTONIC) - began;
            };
            std::for_each_n(trips.begin(), warm, trip);
            measure(count, [&] { std::for_each(trips.begin(), trips.end(), trip); });
            std::sort(trips.begin(), trips.end());
            std::pair<char const*, double> const parts[] = {
                {"p50", 0.5}, {"p99", 0.99}, {"p999", 0.999}};
            for (auto const& [label, part] : parts) {
                std::cout << label << "=" << trips[std::size_t(double(count) * part)] << "\n";
            }
        } else if (name == "connect" || name == "resume") {
            std::string const path = transport != "tls"  ? "/"
                                     : name == "resume" ? "/resumed"
                                                        : "/full";
            auto const once = [&](std::string const& path) {
                auto ws = open(path);
                close(*ws);
                if (name == "resume") remember(*ws);
            };
            once("/");
            measure(count, [&] {
                for (std::size_t at = 0; at < count; ++at) once(path);
            });
        } else if (name == "verify") {
            auto ws = open("/echo");
            for (std::size_t at = 0; at < count; ++at) {
                send(*ws, message, 1);
                receive(*ws, 1, message, text());
                auto const bytes = static_cast<char const*>(buffer.cdata().data());
                if (!std::equal(message.begin(), message.end(), bytes)) fail("other bytes came");
            }
            close(*ws);
            std::cout << "verified=1\n";
        } else {
            fail("there is no task " + name);
        }
    }
};

}  // namespace

int main(int argc, char** argv) {
    std::vector<std::string> const args(argv + 1, argv + argc);
    if (args.size() != 10) {
        std::cerr << "usage: beast beast TASK LEN COUNT KIND TRANSPORT --server FILE "
                     "--message FILE\n";
        return 2;
    }
    pin();
    try {
        Task task;
        task.name = args[1];
        task.len = std::stoul(args[2]);
        task.count = std::stoul(args[3]);
        task.kind = args[4];
        task.transport = args[5];
        std::ifstream server(args[7]);
        std::getline(server, task.plain);
        std::getline(server, task.tls);
        task.pem = {std::istreambuf_iterator<char>(server), std::istreambuf_iterator<char>()};
        task.message = read_file(args[9]);
        if (task.message.size() != task.len) fail("the message has another length");
        if (task.transport == "tls") {
            task.ssl_context.add_certificate_authority(asio::buffer(task.pem));
            task.ssl_context.set_verify_mode(ssl::verify_peer);
            task.ssl_context.set_verify_callback(ssl::host_name_verification("localhost"));
            task.run([&](std::string const& path) { return task.open_tls(path); });
        } else {
            task.run([&](std::string const& path) { return task.open_plain(path); });
        }
    } catch (std::exception const& error) {
        fail(error.what());
    }
}
