"""The words that the rule-based concept classifier knows, each in small letters and in the singular."""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


COLOURS = _words(
    "amber beige black blond blonde blue bronze brown colorful colour color coloured colored colourful copper cream "
    "crimson cyan dark golden gray green grey indigo ivory khaki lavender lilac magenta maroon mauve monochrome "
    "multicoloured multicolored navy olive orange pale pastel pink purple red scarlet silver silvery tan teal "
    "turquoise violet white yellow"
)
LOOKS = _words(
    "bright checkered circular curly curved dotted elongated fluffy furry fuzzy glittering glossy hairy heart-shaped "
    "jagged metallic oval patterned plaid pointed pointy polka-dot rectangular rough round rounded shaggy shiny "
    "silky sleek slender smooth spiked spiky spiny spotted square star-shaped straight striped textured thick thin "
    "translucent transparent triangular vibrant wavy wooden woolly wrinkled"
)
LOOK_HEADS = COLOURS - {"orange", "violet", "lavender", "olive", "dark"} | _words(
    "appearance brightness coloration colouration contrast design dot hue look marking pattern print shade shape shine "
    "size stripe style texture tint tone"
)

PLACE_HEADS = _words(
    "area back bottom center centre corner direction distance edge end foreground forefront front half left location "
    "margin middle midst placement position rear right side spot top upside vicinity"
)
PLACE_WORDS = _words(
    "bottommost central innermost left left-hand leftmost lower lowest lower-left lower-right middle outermost right "
    "right-hand rightmost topmost upper upper-left upper-right uppermost"
)

# Parts, whether or not it is said of what.
PARTS = _words(
    "abdomen ankle antenna antler arm armrest axle backrest beak beard belly blade body bonnet bough branch brow "
    "bumper cheek chest chin claw crest ear elbow eye eyebrow eyelash eyelid face fang feather fin finger fingernail "
    "fingertip fist foot forehead fur grille grip hair hand handlebar head headlight heel hip hood hoof horn jaw "
    "kernel knee knob knuckle leaf leg limb lip mane mouth muzzle nail neck nose nostril palm paw peel petal pincer "
    "plumage rim rind rudder shin shoulder skin sleeve snout sole spike spine spout stalk stem stigma stinger tail "
    "taillight talon tentacle thigh thorax throat thumb tip toe toenail tongue tooth torso trunk tusk udder waist "
    "whisker windscreen windshield wing wingtip wrist"
)
# Parts where they are said to belong to something ("its door", "the wheel of the car"), objects of their own elsewhere.
PARTS_OF_SOMETHING = _words(
    "arch back base button cap chimney cockpit collar core cover crown dashboard dial display door drawer engine "
    "fender flame frame gear gum handle hinge hook joint ladder lens lid light lock mirror needle panel pedal pillar "
    "plate pocket pole propeller rail ring roof root scale screen seam seat seed shaft shell step strap surface tire "
    "tower tread trim tube tyre valve wall wheel window zipper"
)

SETTINGS = _words(
    "airport alley atmosphere background backdrop backyard bathroom beach bedroom camp canyon city cityscape classroom "
    "coast composition context countryside courtyard darkness daylight day desert environment evening event farm field "
    "forest garden ground habitat hallway harbor harbour horizon hospital image indoors interior jungle kitchen lake "
    "landscape lawn library lighting meadow mountain museum night ocean office outdoors park photo photograph picture "
    "playground pond restaurant river road room scene scenery season setting shore sidewalk sky stadium street studio "
    "summer sunlight sunset surrounding surroundings swamp town valley village weather winter world yard zoo"
)

STATES = _words(
    "alive asleep awake broken burning clean closed covered cracked crouching crumpled curled damaged dead dirty "
    "drinking dry eating empty extended facing fallen filled floating flying folded frozen full hanging hidden "
    "holding jumping laughing lit lying melted missing moving off on open opened outstretched parked peeled raised "
    "resting ripe rolled rotten rotting running seated shut sitting sleeping sliced smiling splashing standing "
    "stretched swimming tilted turned unlit unripe upright visible walking wet wilted withered"
)
STATE_HEADS = _words(
    "action activity angle attention condition emotion expression gesture mood motion movement orientation pose "
    "posture process smile stance state"
)
PRONOUNS = _words(
    "he her hers him his i it its itself me one she something them themselves they us we you"
)  # they stand for an object
