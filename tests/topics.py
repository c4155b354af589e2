"""Forty sentences of four topics, and tables of them."""

import csv

TOPICS = {
    "cooking": (
        "Simmer the tomato sauce with garlic and basil for an hour.",
        "Knead the bread dough until it is smooth and elastic.",
        "Roast the chicken with lemon, thyme and plenty of butter.",
        "Whisk the egg whites before folding them into the cake batter.",
        "A pinch of salt brings out the flavour of the soup.",
        "Fry the onions slowly in olive oil until golden.",
        "Bake the apple pie until the crust turns brown.",
        "Marinate the beef in soy sauce and ginger overnight.",
        "Boil the pasta in salted water and drain it al dente.",
        "Season the vegetable stew with pepper and bay leaves.",
    ),
    "space": (
        "The telescope photographed a distant spiral galaxy.",
        "Astronauts repaired the solar panel outside the space station.",
        "A probe entered orbit around Jupiter and its icy moons.",
        "The rocket reached orbit nine minutes after launch.",
        "Astronomers discovered a planet circling a red dwarf star.",
        "The comet will pass close to the Sun next year.",
        "Mars rovers search the red planet for traces of ancient water.",
        "A supernova briefly outshines all the stars of its galaxy.",
        "The lunar module landed softly on the Moon.",
        "Gravity of a black hole bends the light of stars behind it.",
    ),
    "football": (
        "The striker scored twice in the second half of the match.",
        "The goalkeeper saved a penalty in the last minute.",
        "Their coach changed the defence after losing the derby.",
        "The referee showed the midfielder a red card.",
        "Fans filled the stadium for the cup final.",
        "The team won the league with a late header from a corner.",
        "A torn ligament keeps the defender off the pitch all season.",
        "The winger dribbled past three players and crossed the ball.",
        "The club signed a young forward from the Brazilian league.",
        "The match ended in a draw after extra time and missed penalties.",
    ),
    "finance": (
        "The central bank raised interest rates by half a point.",
        "Shares fell sharply after the company cut its profit forecast.",
        "Investors moved their money from stocks into government bonds.",
        "Inflation reduced the value of household savings.",
        "The startup raised ten million dollars from venture capital funds.",
        "The bank approved a mortgage with a fixed interest rate.",
        "Quarterly revenue beat the expectations of Wall Street analysts.",
        "The currency lost a tenth of its value against the dollar.",
        "Tax receipts were lower and the budget deficit grew.",
        "The fund pays a dividend to its shareholders every March.",
    ),
}
ITEMS = [(TOPICS[t][i], t) for i in range(10) for t in TOPICS]


def make_table(path, rows=None, header=("id", "text", "topic")):
    """A csv table; by default all sentences, with ids s0, s1, ... and their topics."""
    if rows is None:
        rows = [(f"s{i}", sentence, topic) for i, (sentence, topic) in enumerate(ITEMS)]
    with path.open("w", newline="", encoding="utf-8") as f:
        csv.writer(f).writerows([header, *rows])
    return path
