# What Perl's Email::MIME finds in a message: one base64 line in, one line of JSON out.
use v5.20;
use warnings;

use Digest::SHA qw(sha256_hex);
use Email::MIME;
use Email::MIME::ContentType qw(parse_content_disposition);
use Encode ();
use JSON::PP;
use MIME::Base64 qw(decode_base64);

my $json = JSON::PP->new->utf8->canonical;
$| = 1;

# outside of encoded words a header is octets, in UTF-8 (RFC 6532)
sub entries {
    my ($mail, $name) = @_;
    my $list = $mail->header_as_obj($name) or return [];
    my @groups = $list->groups;
    my @found;
    while (my ($group, $members) = splice @groups, 0, 2) {
        my @mailboxes = map { [$_->phrase, Encode::decode('utf8', $_->user), $_->host] } @$members;
        push @found, defined $group ? [$group, \@mailboxes] : @mailboxes;
    }
    return \@found;
}

sub leaves {
    my ($part) = @_;
    my @inner = $part->subparts;
    return @inner && $part->content_type =~ m{^multipart/}i ? map { leaves($_) } @inner : $part;
}

sub file {
    my ($part) = @_;
    my ($type) = $part->content_type =~ m{^([^;\s]+)};
    my $field = $part->header_raw('Content-Disposition');
    my $disposition = defined $field ? parse_content_disposition($field) : {};
    my ($content_id) = ($part->header_raw('Content-ID') // '') =~ m{<(.*)>};
    return {
        # ->filename tells a file named "0" from none no more than Perl does
        name        => $disposition->{attributes}{filename},
        type        => lc $type,
        disposition => $disposition->{type},
        content_id  => $content_id,
        sha256      => sha256_hex($part->body),
    };
}

while (my $line = <STDIN>) {
    # what cannot be decoded is shown as U+FFFD, not died of
    my $mail = Email::MIME->new(decode_base64($line), { encode_check => Encode::FB_DEFAULT });
    my %text = (plain => '', html => '', calendar => '');
    my @files;
    for my $part (leaves($mail)) {
        my $is_file = defined $part->header('Content-Disposition');
        my ($kind) = $is_file ? () : $part->content_type =~ m{^text/(plain|html|calendar)}i;
        defined $kind ? $text{$kind} .= $part->body_str : push @files, file($part);
    }
    print $json->encode({
        subject    => $mail->header_str('Subject') // '',
        (map { (lc(tr/-/_/r) => entries($mail, $_)) } qw(From Sender Reply-To To Cc)),
        message_id => $mail->header_str('Message-ID') // '',
        references => [split ' ', $mail->header_str('References') // ''],
        text       => $text{plain},
        html       => $text{html},
        calendar   => $text{calendar},
        files      => \@files,
    }), "\n";
}
