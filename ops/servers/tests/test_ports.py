"""Where listeners end up."""

import socket
import unittest

from servers import ports
from servers.errors import StackError, UsageError


def all_free(_port: int) -> bool:
    return True


class Choice(unittest.TestCase):
    def test_the_usual_port_is_taken_when_it_is_free(self) -> None:
        self.assertEqual(
            ports.choose(["kafka"], {}, {}, None, all_free), {"kafka": ports.USUAL["kafka"]}
        )

    def test_the_next_free_port_is_taken_when_the_usual_one_is_not_free(self) -> None:
        usual = ports.USUAL["redis"]
        chosen = ports.choose(["redis"], {}, {}, None, lambda port: port not in (usual, usual + 1))
        self.assertEqual(chosen, {"redis": usual + 2})

    def test_a_moved_listener_does_not_take_the_usual_port_of_another(self) -> None:
        chosen = ports.choose(["kafka"], {}, {}, None, lambda port: port != ports.USUAL["kafka"])
        self.assertNotIn(chosen["kafka"], ports.USUAL.values())

    def test_a_stored_port_is_kept(self) -> None:
        self.assertEqual(
            ports.choose(["kafka"], {"kafka": 25123}, {}, None, all_free), {"kafka": 25123}
        )

    def test_a_fixed_port_wins_over_the_stored_one(self) -> None:
        self.assertEqual(
            ports.choose(["kafka"], {"kafka": 25123}, {"kafka": 25999}, None, all_free),
            {"kafka": 25999},
        )

    def test_a_fixed_port_that_is_taken_is_an_error_that_says_what_to_do(self) -> None:
        with self.assertRaisesRegex(StackError, "25999 is taken.*--port kafka="):
            ports.choose(["kafka"], {}, {"kafka": 25999}, None, lambda port: False)

    def test_a_base_gives_each_listener_its_place_whatever_else_is_asked_for(self) -> None:
        alone = ports.choose(["registry"], {}, {}, 25000, all_free)
        together = ports.choose(["kafka", "kafka.controller", "registry"], {}, {}, 25000, all_free)
        self.assertEqual(together["registry"], alone["registry"])
        self.assertEqual(len(set(together.values())), 3)

    def test_the_ports_of_the_product_are_never_chosen(self) -> None:
        for kept in ports.KEPT_FREE:
            chosen = ports.choose(["kafka"], {"kafka": kept}, {}, None, all_free)
            self.assertNotIn(chosen["kafka"], ports.KEPT_FREE)

    def test_two_listeners_never_share_a_port(self) -> None:
        for base in (None, 8070, 9085):
            chosen = ports.choose(list(ports.USUAL), {}, {}, base, lambda port: port % 3 != 0)
            self.assertEqual(len(set(chosen.values())), len(ports.USUAL))
            self.assertFalse(set(chosen.values()) & ports.KEPT_FREE)

    def test_no_port_far_and_wide_is_an_error(self) -> None:
        with self.assertRaisesRegex(StackError, "no free port for kafka"):
            ports.choose(["kafka"], {}, {}, None, lambda port: False)

    def test_a_listening_socket_is_seen(self) -> None:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            port = listener.getsockname()[1]
            self.assertFalse(ports.is_free(port))

    def test_odd_numbers_are_refused(self) -> None:
        for text in ("", "-1", "80", "65536", "1e4", "٢٥٠٠٠", "9090"):
            with self.subTest(text=text), self.assertRaises(UsageError):
                ports.check(text, "--port")
