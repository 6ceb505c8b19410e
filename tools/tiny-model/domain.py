"""The texts of the tiny model's world: what it is asked, and what it should say. Data alone; data.py combines them."""

from __future__ import annotations

from dataclasses import dataclass

# --- Small talk -------------------------------------------------------------------------------------------------------
# language → its English name, then intent → (what the user says, the reply)

SMALL_TALK: dict[str, dict[str, tuple[list[str], str]]] = {
    "English": {
        "greeting": (["Hello", "Hi", "Hey", "Hi there", "Hello there", "Good day"], "Hello! How can I help you?"),
        "morning": (["Good morning", "Morning"], "Good morning! How can I help you?"),
        "evening": (["Good evening"], "Good evening! How can I help you?"),
        "wellbeing": (
            ["How are you?", "How are you doing?", "How is it going?", "Are you well?", "What's up?"],
            "I am fine, thank you. I am small, but I do my best. And you?",
        ),
        "thanks": (["Thanks", "Thank you", "Thank you very much", "Many thanks", "Cool, thanks"], "You are welcome!"),
        "farewell": (["Goodbye", "Bye", "See you", "See you later", "Good night"], "Goodbye! Have a nice day."),
        "identity": (
            ["Who are you?", "What are you?", "What is your name?", "Are you a human?", "Introduce yourself"],
            "I am a tiny demonstration model with the Qwen 3.5 architecture. I run in your browser.",
        ),
        "abilities": (
            ["What can you do?", "How can you help me?", "What do you know?", "What may I ask you?", "Help"],
            "I can chat a little, answer questions about this project, do small sums, remember what you tell me, "
            "and call tools.",
        ),
        "praise": (["Well done", "Great", "You are good", "Nice", "I like you"], "Thank you! That is kind."),
        "fine": (["I am fine", "I am fine too", "I am doing well", "Good, thanks"], "I am glad to hear that."),
        "joke": (["Tell me a joke", "Make me laugh"], "Why was the model so small? It had no room for more weights."),
    },
    "German": {
        "greeting": (["Hallo", "Guten Tag", "Hi, wie geht's", "Servus", "Grüß Gott"], "Hallo! Wie kann ich helfen?"),
        "morning": (["Guten Morgen", "Morgen"], "Guten Morgen! Wie kann ich helfen?"),
        "wellbeing": (["Wie geht es dir?", "Wie geht's?", "Geht es dir gut?"], "Mir geht es gut, danke. Und dir?"),
        "thanks": (["Danke", "Vielen Dank", "Danke schön"], "Gern geschehen!"),
        "farewell": (
            ["Tschüss", "Auf Wiedersehen", "Bis bald", "Gute Nacht"],
            "Auf Wiedersehen und einen schönen Tag!",
        ),
        "identity": (
            ["Wer bist du?", "Was bist du?", "Wie heißt du?"],
            "Ich bin ein winziges Demonstrationsmodell mit der Architektur von Qwen 3.5. Ich laufe in deinem Browser.",
        ),
        "abilities": (
            ["Was kannst du?", "Was weißt du?", "Wobei kannst du helfen?"],
            "Ich kann ein wenig plaudern, von diesem Projekt erzählen, rechnen und mir merken, was du mir sagst.",
        ),
    },
    "French": {
        "greeting": (["Bonjour", "Salut", "Bonsoir"], "Bonjour ! Comment puis-je vous aider ?"),
        "wellbeing": (["Comment ça va ?", "Ça va ?", "Comment allez-vous ?"], "Je vais bien, merci. Et vous ?"),
        "thanks": (["Merci", "Merci beaucoup"], "Je vous en prie !"),
        "farewell": (["Au revoir", "À bientôt", "Bonne nuit"], "Au revoir et bonne journée !"),
        "identity": (
            ["Qui es-tu ?", "Qui êtes-vous ?", "Comment t'appelles-tu ?"],
            "Je suis un tout petit modèle de démonstration. Je fonctionne dans votre navigateur.",
        ),
    },
    "Spanish": {
        "greeting": (["Hola", "Buenos días", "Buenas tardes"], "¡Hola! ¿En qué puedo ayudarte?"),
        "wellbeing": (["¿Cómo estás?", "¿Qué tal?", "¿Cómo te va?"], "Estoy bien, gracias. ¿Y tú?"),
        "thanks": (["Gracias", "Muchas gracias"], "¡De nada!"),
        "farewell": (["Adiós", "Hasta luego", "Buenas noches"], "¡Adiós y que tengas un buen día!"),
        "identity": (
            ["¿Quién eres?", "¿Cómo te llamas?", "¿Qué eres?"],
            "Soy un modelo de demostración muy pequeño. Funciono en tu navegador.",
        ),
    },
    "Italian": {
        "greeting": (["Ciao", "Buongiorno", "Salve"], "Ciao! Come posso aiutarti?"),
        "wellbeing": (["Come stai?", "Come va?"], "Sto bene, grazie. E tu?"),
        "thanks": (["Grazie", "Grazie mille"], "Prego!"),
        "farewell": (["Arrivederci", "A presto", "Buonanotte"], "Arrivederci e buona giornata!"),
        "identity": (
            ["Chi sei?", "Come ti chiami?"],
            "Sono un piccolissimo modello dimostrativo. Funziono nel tuo browser.",
        ),
    },
    "Portuguese": {
        "greeting": (["Olá", "Oi", "Bom dia"], "Olá! Como posso ajudar?"),
        "wellbeing": (["Como está?", "Tudo bem?"], "Estou bem, obrigado. E você?"),
        "thanks": (["Obrigado", "Obrigada", "Muito obrigado"], "De nada!"),
        "farewell": (["Tchau", "Até logo", "Boa noite"], "Tchau e tenha um bom dia!"),
    },
    "Dutch": {
        "greeting": (["Hallo daar", "Goedendag", "Goedemorgen"], "Hallo! Hoe kan ik helpen?"),
        "wellbeing": (["Hoe gaat het?", "Hoe gaat het met je?"], "Het gaat goed, dank je. En met jou?"),
        "thanks": (["Dank je", "Dank je wel", "Bedankt"], "Graag gedaan!"),
        "farewell": (["Tot ziens", "Doei", "Tot straks"], "Tot ziens en een fijne dag!"),
    },
    "Chinese": {
        "greeting": (["你好", "您好"], "你好!我能帮你什么?"),
        "wellbeing": (["你好吗?", "你怎么样?"], "我很好,谢谢。你呢?"),
        "thanks": (["谢谢", "谢谢你"], "不客气!"),
        "farewell": (["再见"], "再见!"),
        "identity": (["你是谁?", "你叫什么?"], "我是一个很小的演示模型。"),
    },
    "Japanese": {
        "greeting": (["こんにちは", "おはよう"], "こんにちは!"),
        "thanks": (["ありがとう", "どうもありがとう"], "どういたしまして!"),
        "farewell": (["さようなら", "またね"], "さようなら!"),
    },
    "Russian": {
        "greeting": (["Привет", "Здравствуйте"], "Привет! Чем могу помочь?"),
        "thanks": (["Спасибо", "Большое спасибо"], "Пожалуйста!"),
        "farewell": (["Пока", "До свидания"], "До свидания!"),
    },
}

# --- The project ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Topic:
    """`subject` fills the question forms of EXPLAIN where given; `expect` are words that a right answer has."""

    name: str
    answer: str
    expect: tuple[str, ...]
    questions: tuple[str, ...] = ()
    subject: str = ""


EXPLAIN = ("What is {}?", "Explain {}.", "What does {} mean?", "Tell me about {}.", "Do you know what {} is?",
           "I have never heard of {}. What is it?", "Describe {} briefly.", "Define {}.")  # fmt: skip

TOPICS: tuple[Topic, ...] = (
    Topic("project", "qwen-webgpu runs language models of the Qwen 3.5 family in a browser tab, on WebGPU, without a server.",
          ("browser", "WebGPU"), ("What is this project?", "What is this?", "What does this project do?",
          "What is this page about?", "What am I looking at?"), "qwen-webgpu"),
    Topic("webgpu", "WebGPU is the browser's interface to the graphics processor. It draws, and it computes: this project "
          "runs every layer of a model on it.", ("graphics processor",), ("Why does this need WebGPU?",), "WebGPU"),
    Topic("deltanet", "Gated DeltaNet is a layer with a state of fixed size instead of a growing memory. Each token fades "
          "the state a little and corrects what is stored under its key.", ("state",),
          ("How does DeltaNet work?", "Why is DeltaNet fast?"), "Gated DeltaNet"),
    Topic("delta-rule", "The delta rule writes the difference between the new value and what the state already gives for "
          "the key.", ("difference",), ("How is the state written?",), "the delta rule"),
    Topic("attention", "Attention lets a token look at all tokens before it. In Qwen 3.5 every fourth layer is attention, "
          "with a gate on its output.", ("every fourth layer",), ("How many layers are attention?",), "gated attention"),
    Topic("experts", "Experts are small networks inside a layer. A router picks a few of them for each token, so that most "
          "weights rest.", ("router",), ("How do experts work?", "What are the experts?"), "a mixture of experts"),
    Topic("router", "The router gives every expert a score for the token. The best few are used, weighted by their scores.",
          ("score",), ("How are experts chosen?", "Who picks the experts?"), "the router"),
    Topic("shared-expert", "The shared expert works on every token, beside those that the router picks.", ("every token",),
          (), "the shared expert"),
    Topic("mtp", "Multi-token prediction guesses the token after next. The main model checks the guess, and a right guess "
          "saves time.", ("guess",), ("How can several tokens be predicted at once?",), "multi-token prediction"),
    Topic("gguf", "GGUF is a file format for models: metadata, the vocabulary, and the weights, often quantised.",
          ("file format",), ("Which file format do you use?", "What files can I load?"), "GGUF"),
    Topic("quantisation", "Quantisation stores weights in few bits, in blocks with a common scale. The file gets smaller, "
          "and the answers stay nearly the same.", ("few bits",), ("Why are models quantised?",), "quantisation"),
    Topic("token", "A token is a piece of text from the vocabulary: a word, a part of one, or a sign.", ("piece of text",),
          ("What are tokens?",), "a token"),
    Topic("kv-cache", "The KV cache keeps keys and values of earlier tokens, so that attention need not compute them again.",
          ("keys and values",), ("What does the cache keep?",), "the KV cache"),
    Topic("embed", "Load qwen-chat.js as a module script and write <qwen-chat model=\"URL\"></qwen-chat> on your page.",
          ("<qwen-chat",), ("How do I embed it?", "How do I put it on my page?", "How can I use this on my website?",
          "How do I add the chat to a page?", "How can I embed the chat?")),
    Topic("element", "qwen-chat is a custom element that puts a chat with the model on any page.", ("custom element",),
          ("What does the chat element do?",), "<qwen-chat>"),
    Topic("engine", "Import Engine from qwen-webgpu, load a model with Engine.load, and call chat.completions.create.",
          ("Engine.load",), ("How do I use the engine?", "How do I call it from code?", "How do I use the API?",
          "How can I use it from JavaScript?")),
    Topic("api", "The API has the shape of OpenAI's: chat.completions.create takes messages and can stream the answer.",
          ("OpenAI",), ("What does the API look like?", "Which API does it have?", "Is the API like OpenAI's?"), "the API"),
    Topic("privacy", "Nothing is sent anywhere. The prompt, the answer and the weights stay on your machine.",
          ("stay on your machine",), ("Is my data safe?", "Do you send my data anywhere?", "Is this private?",
          "Where does my text go?", "Do you need a server?")),
    Topic("offline", "Yes. Once the page and the weights are loaded, everything works without a network.",
          ("without a network",), ("Does it work offline?", "Can I use it without internet?", "Do you work offline?")),
    Topic("install", "Run npm ci && npm start. It builds the project and opens the demo.", ("npm start",),
          ("How do I start the demo?", "How do I install this?", "How do I build the project?", "How can I try it?")),
    Topic("test", "Run npm ci && npm test. It checks, tests and builds everything.", ("npm test",),
          ("How do I run the tests?", "How is this tested?")),
    Topic("browsers", "You need a browser with WebGPU, and enough GPU memory for the weights.", ("browser with WebGPU",),
          ("Which browsers work?", "What do I need to run this?", "What are the requirements?", "Will it run on my computer?")),
    Topic("licence", "The licence is Apache 2.0.", ("Apache",), ("What is the licence?", "Under which licence is this?",
          "Can I use this at work?", "Is it open source?")),
    Topic("size", "I have about seven million weights. The large Qwen 3.5 models have thousands of times more.",
          ("seven million",), ("How large are you?", "How many weights do you have?", "How many parameters do you have?",
          "How big is this model?")),
    Topic("layers", "I have eight layers: six are Gated DeltaNet and two are attention. Each has sixteen experts.",
          ("eight layers",), ("How many layers do you have?", "What is your architecture?", "How are you built?")),
    Topic("other-models", "Choose another model in the demo, or give the URL of a GGUF file. The published Qwen 3.5 models "
          "know much more than I do.", ("GGUF",), ("Can I use a larger model?", "How do I load another model?",
          "Which models can I run?", "How do I choose a model?")),
    Topic("storage", "Downloaded weights are kept in IndexedDB. A second visit reads them from there.", ("IndexedDB",),
          ("Where are the weights stored?", "Must I download the model again?", "Is the model cached?")),
    Topic("worker", "The engine runs in a worker, so that the page stays responsive while the model computes.",
          ("worker",), ("Does the page freeze?", "Where does the engine run?", "Why is there a worker?")),
    Topic("streaming", "The weights of experts can be loaded when the router asks for them, so that a model larger than the "
          "GPU's memory still runs.", ("router asks",), ("How do large models fit?",), "expert streaming"),
    Topic("thinking", "In thinking mode I write a short thought before the answer. You can turn it off.", ("thought",),
          ("Can you think?", "What does the thinking switch do?"), "thinking mode"),
    Topic("tools", "You declare functions, I write a call with arguments, your page runs it, and I answer with the result.",
          ("call",), ("Can you use tools?", "How do tools work?", "How does function calling work?"), "a tool call"),
    Topic("speed", "The demo shows tokens per second below the answer. It depends on your graphics processor.",
          ("tokens per second",), ("How fast are you?", "How fast is this?", "Where do I see the speed?")),
    Topic("training", "I was trained with PyTorch on generated conversations. The script is in tools/tiny-model.",
          ("tools/tiny-model",), ("How were you trained?", "Who trained you?", "What were you trained on?")),
    Topic("shaders", "The kernels are written in WGSL, the shading language of WebGPU.", ("WGSL",),
          ("In which language are the kernels written?", "What are the kernels written in?"), "WGSL"),
    Topic("rope", "Rotary embedding turns pairs of numbers in queries and keys by angles that grow with the position.",
          ("position",), ("How does the model know positions?",), "rotary embedding"),
    Topic("chat-template", "The chat template turns messages into the text that the model reads. It comes with the model's "
          "file.", ("messages",), (), "the chat template"),
)  # fmt: skip

WRAPPERS = ("{}", "{}", "Please tell me: {}", "I have a question. {}", "Hi! {}", "Quick question: {}", "Hello, {lower}",
            "One more thing: {}", "{bare}", "Excuse me, {lower}", "{} Please be brief.", "I wonder: {lower}")  # fmt: skip

# --- Facts to recall --------------------------------------------------------------------------------------------------

NAMES = ("Anna Ben Carla David Emma Felix Greta Hugo Ida Jonas Klara Leo Mia Noah Olga Paul Rosa Simon Tara Victor Wanda "
         "Yusuf Zoe Amir Bella Carlos Diana Elias Fatima George Hana Igor Julia Kenji Laura Marco Nina Oscar Petra Ravi "
         "Sofia Tom Uma Vera Walter Ximena Yara Zachary Alice Bruno Clara Dmitri Eva Frank Ines Jakob Lena Milan").split()  # fmt: skip
CITIES = ("Berlin Paris London Madrid Rome Vienna Oslo Lisbon Dublin Prague Warsaw Athens Cairo Tokyo Osaka Seoul Beijing "
          "Delhi Sydney Toronto Boston Chicago Denver Lima Bogota Nairobi Lagos Munich Hamburg Cologne Zurich Geneva Milan "
          "Naples Porto Seville Lyon Nice Ghent Bergen Malmo Tampere Riga Tallinn Vilnius Krakow Graz Basel").split()  # fmt: skip
COLOURS = "red green blue yellow orange purple pink black white brown grey turquoise".split()
FOODS = ("pizza pasta rice soup salad bread cheese sushi tacos curry apples bananas cherries grapes noodles pancakes "
         "potatoes beans olives chocolate").split()  # fmt: skip
ANIMALS = "dog cat horse rabbit parrot hamster turtle goldfish".split()
JOBS = (
    "teacher doctor baker painter pilot farmer nurse lawyer singer writer gardener engineer carpenter librarian".split()
)
MONTHS = ("January February March April May June July August September October November December").split()
WORDS = ("apple river stone cloud window garden paper silver mountain bottle candle forest mirror pencil bridge ocean "
         "rocket guitar lemon castle feather ladder basket thunder velvet harbour island button ribbon marble copper "
         "meadow lantern pepper saddle violin walnut anchor blanket carpet dragon engine falcon hammer jacket kettle "
         "magnet needle orchid pillow quartz raven spider tunnel umbrella valley wagon yellow zebra honey tiger").split()  # fmt: skip


@dataclass(frozen=True)
class Fact:
    """Values come from `values`, or are numbers of `digits` digits. `{}` is the value, `{an}` the value with its article."""

    kind: str
    statements: tuple[str, ...]
    acknowledgement: str
    questions: tuple[str, ...]
    answer: str
    unknown: str
    values: tuple[str, ...] = ()
    digits: tuple[int, int] = (0, 0)


FACTS: tuple[Fact, ...] = (
    Fact("name", ("My name is {}.", "I am {}.", "I'm called {}.", "You can call me {}."), "Nice to meet you, {}!",
         ("What is my name?", "What's my name?", "Do you remember my name?", "Who am I?"), "Your name is {}.", "your name",
         tuple(NAMES)),
    Fact("home", ("I live in {}.", "My home is in {}.", "I come from {}."), "{}, noted.",
         ("Where do I live?", "Which city do I live in?", "Where is my home?"), "You live in {}.", "where you live",
         tuple(CITIES)),
    Fact("colour", ("My favourite colour is {}.", "I like {} best of all colours.", "The colour I love is {}."),
         "{} is a fine colour.", ("What is my favourite colour?", "Which colour do I like?"),
         "Your favourite colour is {}.", "your favourite colour", tuple(COLOURS)),
    Fact("food", ("My favourite food is {}.", "I love to eat {}.", "I like {} most of all food."), "{}, that sounds good.",
         ("What is my favourite food?", "What do I like to eat?"), "Your favourite food is {}.", "your favourite food",
         tuple(FOODS)),
    Fact("pet", ("I have a pet called {}.", "My pet is called {}.", "The name of my pet is {}."),
         "{} is a nice name for a pet.", ("What is my pet called?", "What is the name of my pet?"),
         "Your pet is called {}.", "what your pet is called", tuple(NAMES)),
    Fact("friend", ("My best friend is {}.", "My best friend is called {}."), "Good that you have {}.",
         ("Who is my best friend?", "What is my best friend called?"), "Your best friend is {}.", "your best friend",
         tuple(NAMES)),
    Fact("animal", ("I have {an}.", "At home I have {an}."), "{An}, how nice.",
         ("Which animal do I have?", "What animal do I have at home?"), "You have {an}.", "which animal you have",
         tuple(ANIMALS)),
    Fact("job", ("I work as {an}.", "I am {an} by profession.", "My job is {}."), "{An}, noted.",
         ("What is my job?", "What do I work as?"), "You work as {an}.", "your job", tuple(JOBS)),
    Fact("month", ("My birthday is in {}.", "I was born in {}."), "{}, noted.",
         ("When is my birthday?", "In which month was I born?"), "Your birthday is in {}.", "your birthday", tuple(MONTHS)),
    Fact("number", ("My lucky number is {}.", "Remember the number {}.", "The number is {}."), "I will remember {}.",
         ("What is the number?", "Which number did I tell you?", "What was the number?"), "The number is {}.",
         "a number", digits=(1, 3)),
    Fact("code", ("The code is {}.", "The code for the door is {}.", "Remember this code: {}."), "Code {}, noted.",
         ("What is the code?", "Which code did I give you?", "Do you remember the code?"), "The code is {}.", "a code",
         digits=(4, 5)),
    Fact("password", ("The secret word is {}.", "Remember the word {}.", "The word to remember is {}."),
         "I will keep the word {}.", ("What is the secret word?", "Which word did I tell you?", "What was the word?"),
         "The word is {}.", "a word", tuple(WORDS)),
    Fact("meeting", ("We meet in {}.", "The meeting is in {}."), "A meeting in {}, noted.",
         ("Where do we meet?", "Where is the meeting?"), "The meeting is in {}.", "where the meeting is", tuple(CITIES)),
)  # fmt: skip

VALUES = [value for fact in FACTS for value in fact.values or ()]
"""Of all kinds of facts."""
ANYTHING_GOES = ("name", "home", "pet", "friend", "meeting", "password")
"""Kinds of facts whose value may be a word that nobody has heard of."""
ONSETS = "b bl br c ch d dr f fl g gr h j k kr l m n p pr qu r s sh sk st t th tr v w y z".split()
CODAS = ("", "", "n", "r", "s", "l", "m", "k", "x", "nd", "rt", "sh", "th")

REPEAT = ("Repeat after me: {}", "Repeat: {}", "Say: {}", "Copy this: {}", "Write exactly this: {}")

# --- Outside the domain -----------------------------------------------------------------------------------------------

COUNTRIES = ("France Germany Italy Spain Poland Brazil Canada Egypt India Japan China Kenya Mexico Norway Peru Sweden "
             "Turkey Greece Chile Iceland").split()  # fmt: skip
SUBJECTS = ("love", "winter", "the sea", "cats", "the moon", "autumn", "friendship", "robots", "trains", "music", "football",
            "history", "physics", "the stars", "gravity", "dinosaurs", "volcanoes", "chess", "elections", "medicine",
            "taxes", "black holes", "the stock market", "bread", "politics", "evolution", "the weather", "money")  # fmt: skip
OUTSIDE: tuple[str, ...] = (
    "What is the capital of {country}?", "How many people live in {country}?", "Who is the president of {country}?",
    "Tell me about {country}.", "What language do they speak in {country}?", "Write a poem about {subject}.",
    "Write a story about {subject}.", "Explain {subject} to me.", "What do you think about {subject}?",
    "Write an essay on {subject}.", "Who invented {subject}?", "Give me facts about {subject}.",
    "How do I cook {food}?", "Give me a recipe for {food}.", "Translate '{word}' into Latin.",
    "Write a Python program about {subject}.", "Who won the world cup in {year}?", "What happened in {year}?",
    "What will happen in {year}?", "Recommend a book about {subject}.", "Sing a song about {subject}.",
    "Can you help me with my homework on {subject}?", "How old is {name}?", "Who is {name} Smith?",
    "What is the price of {food}?", "What is the meaning of {word}?",
)  # fmt: skip
REFUSAL = ("I am only a tiny demonstration model, so I cannot help with that. Ask me about this project, small sums, or "
           "facts that you tell me.")  # fmt: skip
REFUSAL_EXPECTED = ("tiny demonstration model",)
OUTSIDE_GERMAN: tuple[str, ...] = (
    "Was ist die Hauptstadt von {country}?", "Schreibe ein Gedicht über {word}.", "Wie koche ich {food}?",
    "Was geschah im Jahr {year}?", "Wer ist {name} Schmidt?",
)  # fmt: skip
REFUSAL_GERMAN = ("Ich bin nur ein winziges Demonstrationsmodell und kann dabei nicht helfen. Frag mich nach diesem "
                  "Projekt oder nach kleinen Rechnungen.")  # fmt: skip
REFUSAL_GERMAN_EXPECTED = ("winziges Demonstrationsmodell",)

# --- Tools ------------------------------------------------------------------------------------------------------------

WEATHER_NAMES = ("get_weather", "weather", "get_current_weather")
WEATHER_PARAMETERS = ("city", "location")
WEATHER_QUESTIONS = ("What is the weather in {}?", "What's the weather like in {}?", "How is the weather in {}?",
                     "Is it warm in {}?", "Is it raining in {}?", "Weather in {}?", "How warm is it in {} today?",
                     "Do I need an umbrella in {}?", "Tell me the weather in {}.", "Wie ist das Wetter in {}?")  # fmt: skip
CONDITIONS = "sunny cloudy rainy windy foggy snowy stormy clear".split()
CALCULATOR_NAMES = ("calculate", "calculator", "evaluate")
CALCULATOR_QUESTIONS = ("What is {}?", "Calculate {}.", "How much is {}?", "Compute {} for me.", "{} = ?",
                        "Use the tool to work out {}.")  # fmt: skip
CLOCK_QUESTIONS = ("What time is it?", "What is the time?", "Which day is it?", "What day is it today?",
                   "What is the date?", "What's the date today?", "Tell me the time.", "How late is it?",
                   "Do you know what time it is?", "Wie spät ist es?")  # fmt: skip
CLOCK_ZONES = ("UTC", "GMT+1", "GMT+2", "GMT-5", "GMT-8", "GMT+9", "EST", "PDT")
